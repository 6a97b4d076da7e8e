"""Tables, figures and continual-learning metrics, from the tables of a run folder alone; torch is never imported here."""

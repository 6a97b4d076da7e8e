"""CT series as scanners and PACS write them: found, checked against what readers pass over in silence, and turned into one volume."""

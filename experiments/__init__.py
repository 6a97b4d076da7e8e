"""Running the benchmark: metrics, scores, scenario, units of work and results."""

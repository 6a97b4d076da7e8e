"""Statistics over runs: intervals, paired tests, spread over seeds and orders, averages by class and region; pure functions on scores."""

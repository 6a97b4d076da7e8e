"""Speed and memory of the project's parts, side by side with what they replace: `python -m benchmarks --help`."""

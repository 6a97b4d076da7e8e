"""What one types to fill a table: the same experiment on the phantom and on the paper's data."""

from __future__ import annotations

from analysis.exhibits.match import METHODS

REAL = "data.root=FOLDER scale=paper trainer=gpu"


def five_public(experiment: str) -> tuple[str, str]:
    """On the phantom, in minutes, and on the five public datasets; `experiment` is one, or several with commas between."""
    word = "-m experiment" if "," in experiment else "experiment"
    return f"python run.py {word}={experiment} pruning=short", f"python run.py {word}={experiment} data=public {REAL} pruning=text"


def of_rivals(experiment: str, *methods: str) -> tuple[str, ...]:
    """The experiment by each of these methods that the benchmark has."""
    word = "-m experiment" if "," in experiment else "experiment"
    return tuple(f"python run.py {word}={experiment} method={method}" for method in methods if method in METHODS)

"""What a run's end and the tasks that read run folders want of this package, one function each; what they need is imported when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def report(folder: Path) -> None:
    """Tables and figures of a run, from its scores alone; of one that was scored on validation cases only what the terminal shows."""
    from analysis import report, terminal

    if terminal.print_summary(folder):
        report.build(folder)


def book(folders: Sequence[Path], output: Path) -> None:
    """The paper's tables and figures, as far as these runs make them."""
    from analysis.book import build

    print(f"book: {build(folders, output)}")


def compare(folders: Sequence[Path], output: Path, differences: Mapping[str, Sequence[str]]) -> None:
    """Runs side by side: what they were asked for and what came out."""
    from analysis.compare import PAGE, build, settings_table, summary

    groups = build(folders, output, differences=differences)
    print(summary(groups, settings_table(groups, folders, differences)))
    print(f"comparison: {output / PAGE}")


def tuning(folders: Sequence[Path], differences: Mapping[str, Sequence[str]], output: Path | None) -> None:
    """Validation runs side by side, as Markdown."""
    from analysis.tuning import build

    build(folders, differences, output)


def claims(runs: Path) -> None:
    """README's numbers against the runs in a folder."""
    from analysis.claims import check

    check(Path(__file__).resolve().parents[1] / "claims.yaml", runs)


def final_dsc(folder: Path) -> float:
    """The mean DSC of a finished run."""
    from analysis.terminal import final_dsc

    return final_dsc(folder)

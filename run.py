"""Compose the configuration, check it, and do its task: `python run.py --help`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from clnet.errors import ClnetError
from experiments import cli
from experiments.reading import Analyses

ROOT = Path(__file__).resolve().parent
CONF = ROOT / "conf"


def job(cfg) -> None:
    """One job of Hydra's; what reads results is handed in here, because only this file knows of both the experiments and their analysis."""
    cli.job(cfg, analyses())


def analyses() -> Analyses:
    """All that reads run folders."""
    return Analyses(report, book, compare, tuning, claims, final_dsc)


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

    check(ROOT / "claims.yaml", runs)


def final_dsc(folder: Path) -> float:
    """The mean DSC of a finished run."""
    from analysis.terminal import final_dsc

    return final_dsc(folder)


def main() -> int:
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(cli.help_text(CONF))
        return 0
    sys.argv[1:] = cli.spelled(sys.argv[1:])
    try:
        sweep = cli.check(sys.argv[1:], CONF)
    except ClnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    import hydra

    task = hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)
    return cli.perform(sweep, task, CONF, analyses()) if sweep else cli.exit_code_of(task)


if __name__ == "__main__":
    sys.exit(main())

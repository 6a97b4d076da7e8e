"""Compose the configuration, check it, and do its task: `python run.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path

from analysis import tasks
from clnet.errors import ClnetError
from experiments import cli
from experiments.reading import Analyses

CONF = Path(__file__).resolve().parent / "conf"
ANALYSES = Analyses(tasks.report, tasks.book, tasks.compare, tasks.tuning, tasks.claims, tasks.final_dsc)


def job(cfg) -> None:
    """One job of Hydra's; what reads results is handed in here, because only this file knows of both the experiments and their analysis."""
    cli.job(cfg, ANALYSES)


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
    return cli.perform(sweep, task, CONF, ANALYSES) if sweep else cli.exit_code_of(task)


if __name__ == "__main__":
    sys.exit(main())

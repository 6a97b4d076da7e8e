"""Compose the configuration, check it, and do its task: `python run.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path

from clnet.errors import ClnetError
from experiments import cli

CONF = Path(__file__).resolve().parent / "conf"


def job(cfg) -> None:
    """One job of Hydra's; the report is built here, because nothing but this file knows of both the experiments and their analysis."""
    cli.job(cfg, report)


def report(folder: Path) -> None:
    """Tables and figures of a run, from its scores alone."""
    from analysis import terminal
    from analysis.report import build

    terminal.print_summary(folder)
    build(folder)


def main() -> int:
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(cli.help_text(CONF))
        return 0
    try:
        cli.check(sys.argv[1:], CONF)
    except ClnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    import hydra

    return cli.exit_code_of(hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job))


if __name__ == "__main__":
    sys.exit(main())

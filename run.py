"""Compose the configuration, check it, and do its task: `python run.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path

from clnet.errors import ClnetError
from experiments import cli

CONF = Path(__file__).resolve().parent / "conf"


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

    return cli.exit_code_of(hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(cli.job))


if __name__ == "__main__":
    sys.exit(main())

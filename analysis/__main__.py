"""`python -m analysis RUN_FOLDER`: rebuild the report of a run and print its summary."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from clnet.errors import ClnetError


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or that of the error (2 usage, 3 invalid data)."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description="Rebuild a run's report from its tables and print its summary.")
    parser.add_argument("run_folder", type=Path, metavar="RUN_FOLDER", help="the folder that a finished run prints last")
    folder = parser.parse_args(arguments).run_folder
    try:
        from analysis import report, terminal  # slow imports only after the arguments are known to be right

        built = report.build(folder)
        terminal.print_summary(folder)
    except ClnetError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"report: {built / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

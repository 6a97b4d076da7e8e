"""`python -m analysis RUN_FOLDER` rebuilds the report of a run; `compare` and `book` make pages of several runs; `claims` checks README."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from clnet.errors import ClnetError

ALSO = """Of several runs:
  python -m analysis compare RUN_FOLDER ... --output FOLDER [--names NAME ...]    side by side
  python -m analysis book RUN_FOLDER ... --output FOLDER [--names NAME ...]       the paper's tables and figures
  python -m analysis claims [--runs FOLDER] [--claims FILE]                       README's numbers against the runs in FOLDER"""


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or that of the error (2 usage, 3 invalid data, 4 disk or permission)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    command = {"compare": _compare, "book": _book, "claims": _claims}.get(arguments[0]) if arguments else None
    return command(arguments[1:]) if command else _report(arguments)


def _report(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis", description="Rebuild a run's report from its tables and print its summary.",
                                     epilog=ALSO, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_folder", type=Path, metavar="RUN_FOLDER", help="the folder that a finished run prints last")
    folder = parser.parse_args(arguments).run_folder

    def work() -> Path:
        from analysis import report, terminal  # slow imports only after the arguments are known to be right

        built = report.build(folder)
        terminal.print_summary(folder)
        return built / "report.html"

    return _exit_code(work, "report")


def _compare(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis compare",
                                     description="Tables and figures of several finished runs side by side.")
    parser.add_argument("run_folders", type=Path, nargs="+", metavar="RUN_FOLDER", help="folders of finished runs; the first two make the "
                        "figure of pruning where one is pruned and the other not")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where to write; new, empty, or an earlier comparison")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="one for each run, in the same order; runs that differ in nothing but "
                        "their seed may share one and become a mean (default: the folder's name without its seed)")
    given = parser.parse_args(arguments)

    def work() -> Path:
        from analysis import compare

        print(compare.summary(compare.build(given.run_folders, given.output, given.names)))
        return given.output / compare.PAGE

    return _exit_code(work, "comparison")


def _book(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis book",
                                     description="The paper's tables and figures, as far as these runs make them, on one page.")
    parser.add_argument("run_folders", type=Path, nargs="*", metavar="RUN_FOLDER", help="folders of finished runs; none: the paper's alone")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where to write; new, empty, or an earlier book")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="one for each run, as of compare")
    given = parser.parse_args(arguments)

    def work() -> Path:
        from analysis import book

        return book.build(given.run_folders, given.output, given.names)

    return _exit_code(work, "book")


def _claims(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis claims",
                                     description="Each number of README.md against the runs that are there; ends with 3 where one differs.")
    parser.add_argument("--runs", type=Path, default=Path("outputs/runs"), metavar="FOLDER", help="where run folders lie (outputs/runs)")
    parser.add_argument("--claims", type=Path, default=Path(__file__).resolve().parents[1] / "claims.yaml", metavar="FILE",
                        help="the list of claims (claims.yaml of the repository)")
    given = parser.parse_args(arguments)

    def work() -> None:
        from analysis import claims

        claims.check(given.claims, given.runs)

    return _exit_code(work, "claims")


def _exit_code(work: Callable[[], Path | None], word: str) -> int:
    """What `work` made is named last, if it made something."""
    try:
        path = work()
    except ClnetError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if path is not None:
        print(f"{word}: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

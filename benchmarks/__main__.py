"""`python -m benchmarks [P1 P5 ...] [--small] [--output FILE]`: run benchmarks one after the other and print their table."""

from __future__ import annotations

import argparse
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch

import benchmarks
from benchmarks import memory
from benchmarks.contest import Result
from benchmarks.table import page, table
from clnet.atomic import write_text


def modules() -> dict[str, str]:
    """Key -> module of every benchmark: files `p<number>_<what>.py` of this package in the order of their numbers, the memory's, and
    `h<number>_<what>.py`, which are for GPUs."""
    names = [name for _, name, _ in pkgutil.iter_modules(benchmarks.__path__) if name[0] in "ph" and name[1:].partition("_")[0].isdigit()]
    numbered = sorted(names, key=lambda name: int(name[1:].partition("_")[0]))
    on = {kind: {name.partition("_")[0].upper(): f"benchmarks.{name}" for name in numbered if name[0] == kind} for kind in "ph"}
    return on["p"] | {memory.KEY: memory.__name__} | on["h"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, whether goals are met or not; 2 for a key that no benchmark has."""
    known = modules()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=benchmarks.__doc__)
    parser.add_argument("keys", nargs="*", metavar="KEY", help=f"which to run (all; those with H on a GPU only): {', '.join(known)}")
    parser.add_argument("--small", action="store_true", help="workloads of seconds, to see that all is well; their ratios say little")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (2)")
    parser.add_argument("--output", type=Path, help="write the table with a description of the machine to this Markdown file")
    options = parser.parse_args(arguments)
    gpu = torch.cuda.is_available() or options.small  # which is to see that all is well
    keys = [key.upper() for key in options.keys] or [key for key in known if gpu or key[0] != "H"]
    unknown = [key for key in keys if key not in known]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(known)}")
    if not gpu and (helpless := [key for key in keys if key[0] == "H"]):
        parser.error(f"no GPU here for {', '.join(helpless)}; with --small they run on a CPU")
    torch.set_num_threads(options.threads)
    results: list[Result] = []
    for key in keys:
        print(f"{key} ...", file=sys.stderr, flush=True)
        own = import_module(known[key]).run("small" if options.small else "full")
        print(*(f"{key} {result.workload}, {result.ours}: {result.ratio:.3g}" for result in own), sep="\n", file=sys.stderr, flush=True)
        results += own
    print(table(results))
    if options.output:
        size = ["--small"] if options.small else []
        command = " ".join(["python -m benchmarks", *[key.upper() for key in options.keys], *size, f"--threads {options.threads}"])
        write_text(options.output, page(results, command))
    return 0


if __name__ == "__main__":
    sys.exit(main())

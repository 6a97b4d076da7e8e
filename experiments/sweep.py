"""Experiments that are many runs: `sweep:` in an experiment's YAML lists command lines, and the one command does them all.

A line is what one would type after `python run.py -m`; what is typed beside the experiment is added to each. So every run has the folder
that its own command gives it, and the same command again goes on where it stopped. `sweep_page: compare` in that YAML makes the end a
comparison of the runs; without it, it is the page of the paper's tables and figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import yaml

from clnet import stop
from clnet.errors import UsageError
from experiments import runfolder

_PLACE = ("experiment", "paths", "run", "name")  # all that a run folder's name depends on, besides the words themselves
METHOD = "clnet"  # of a line that names none: conf/config.yaml's


@dataclass(frozen=True)
class Sweep:
    """lines: each a list of KEY=VALUE, where VALUE may be several with commas between; typed: what of them the user typed; compared:
    whether the runs are compared at the end."""

    name: str
    typed: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    compared: bool = False

    @property
    def samples(self) -> list[list[str]]:
        """Each line with the first of its own values, and all that was typed."""
        return [[word if word in self.typed else word.split(",")[0] for word in line] for line in self.lines]

    @property
    def page(self) -> str:
        """Name of the folder for what is made of its runs."""
        return runfolder.name_of(self.name, self.typed)


def sweep_of(argv: Sequence[str], conf: Path) -> Sweep | None:
    """The sweep that a command line asks for; None where its experiment is a single run.

    `method=A,B` picks among the sweep's methods; any other setting that a line has is replaced there and not added to the other lines.
    Raises UsageError for methods that the sweep has not, and for several experiments one of which is a sweep.
    """
    typed = [word for word in argv if not word.startswith("-")]
    names = next((_value(word).split(",") for word in reversed(typed) if _key(word) == "experiment"), [])
    told = {name: _told(conf / "experiment" / f"{name}.yaml") for name in names}
    if not any(own.get("sweep") for own in told.values()):
        return None
    if len(names) > 1:
        raise UsageError("a sweep is an experiment of its own", where=f"experiment={','.join(names)}", fix="one command for each")
    own = told[names[0]]
    lines, methods = [line.split() for line in own["sweep"]], _typed(typed, "method")
    known = list(dict.fromkeys(name for line in lines for name in _methods(line)))
    unknown = [name for name in methods or [] if name not in known]
    if unknown:
        raise UsageError("the sweep does not have this method", found=", ".join(unknown), expected=", ".join(known),
                         where=f"experiment={names[0]}")
    own_keys = {_key(word) for line in lines for word in line}
    typed = [word for word in typed if _key(word) != "experiment"]
    made = dict.fromkeys(_with(line, typed, own_keys, methods) for line in lines)
    return Sweep(names[0], tuple(typed), tuple(line for line in made if line), own.get("sweep_page") == "compare")


def perform(sweep: Sweep, multirun: Callable[[Sequence[str]], int]) -> int:
    """Do all lines by `multirun` (arguments -> exit code), go on after one that failed, and return the first code that is not 0.

    A line that was stopped from outside ends the sweep.
    """
    codes = []
    for line in sweep.lines:
        codes.append(multirun(["-m", *line]))
        if codes[-1] == stop.EXIT_CODE:
            break
    return next((code for code in codes if code), 0)


def folders(sweep: Sweep, conf: Path) -> tuple[list[Path], Path]:
    """The run folder of every run, in their order, and the folder for what is made of them all."""
    from hydra import compose, initialize_config_dir
    from hydra.core.override_parser.overrides_parser import OverridesParser

    found, known = [], {}
    with initialize_config_dir(str(conf.absolute()), version_base="1.3"):
        for line in sweep.lines:
            words = [list(word.sweep_string_iterator()) if word.is_discrete_sweep() else None
                     for word in OverridesParser.create().parse_overrides(list(line))]
            spread = [[word] if values is None else [f"{_key(word)}={value}" for value in values]
                      for word, values in zip(line, words, strict=True)]
            for job in product(*spread):
                decisive = tuple(word for word in job if _key(word).partition(".")[0] in _PLACE)
                if decisive not in known:
                    known[decisive] = compose("config", list(decisive))
                found.append(runfolder.place_of(known[decisive], job))
    outputs = next(iter(known.values()))["paths"]["outputs"]
    return list(dict.fromkeys(found)), Path(outputs) / "pages" / sweep.page


def _with(line: Sequence[str], typed: Sequence[str], own_keys: set[str], methods: Sequence[str] | None) -> tuple[str, ...]:
    """A line with what was typed; empty where it has none of the methods."""
    own = {_key(word): word for word in line}
    if methods is not None:
        kept = [name for name in _methods(line) if name in methods]
        if not kept:
            return ()
        own |= {"method": f"method={','.join(kept)}"} if "method" in own else {}
    for word in typed:
        key = _key(word)
        if key != "method" and (key in own or key not in own_keys):
            own[key] = word
    return tuple(own.values())


def _told(file: Path) -> dict:
    return yaml.safe_load(file.read_text()) or {} if file.is_file() else {}


def _methods(line: Sequence[str]) -> list[str]:
    return _typed(line, "method") or [METHOD]


def _typed(words: Sequence[str], key: str) -> list[str] | None:
    return next((_value(word).split(",") for word in reversed(words) if _key(word) == key), None)


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+")


def _value(word: str) -> str:
    return word.partition("=")[2]

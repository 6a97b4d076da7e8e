"""claims.yaml: what is stated about runs, the command that makes each run, and where in it the number stands.

    runs         name of the run folder -> the command that makes it
    tolerances   name -> within (a number), because (the reason)
    claims       sentences or table rows: text (as it stands in README.md or docs/results.md), numbers, and what all of these have in common
    unchecked    text, because: numbers that no run folder can tell

A number has an `id`, `expected`, a `tolerance`, the name of a `measure` (analysis/measures.py) and its arguments, and `run`: a name, or
several whose mean counts (or what `over` says: mean, std, min, max). `minus` names runs whose value is taken off, `times` a factor.
`written` is how the text spells the number, where that is not in figures.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from analysis.measures import MEASURES
from clnet.errors import DataError

OVER = ("mean", "std", "min", "max")


@dataclass(frozen=True)
class Claim:
    """One number: where it is stated, where it is read, and how near that has to be."""

    id: str
    text: str
    expected: float
    within: float
    because: str
    runs: tuple[str, ...]
    measure: str
    settings: Mapping[str, object]
    minus: tuple[str, ...] = ()
    over: str = "mean"
    times: float = 1.0
    written: str = ""


@dataclass(frozen=True)
class ClaimList:
    """All claims, the commands of their runs, and the stated numbers that cannot be checked (text -> why)."""

    commands: Mapping[str, str]
    claims: tuple[Claim, ...]
    unchecked: Mapping[str, str] = field(default_factory=dict)


def read_claims(path: Path) -> ClaimList:
    """Raises DataError for a file that cannot be read, an id that comes twice, or a claim that is incomplete or names what is not there."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        unchecked = {entry["text"]: entry["because"] for entry in content.get("unchecked") or ()}
        commands, tolerances, sentences = content["runs"], content["tolerances"], content["claims"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise DataError("the list of claims cannot be read", where=path, found=error, expected="runs, tolerances, claims") from error
    claims: dict[str, Claim] = {}
    for sentence in sentences:
        common = {key: value for key, value in sentence.items() if key != "numbers"}
        for entry in sentence["numbers"]:
            given = common | entry
            name = str(given.get("id"))
            if name in claims:
                raise DataError("two claims have the same id", where=path, found=name)
            try:
                claims[name] = _claim(given, commands, tolerances)
            except (LookupError, TypeError, ValueError) as error:
                raise DataError("a claim is incomplete or wrong", where=f"{path}, {name}", found=f"{type(error).__name__}: {error}",
                                fix="analysis/claim_list.py says what a claim holds") from error
    return ClaimList(commands, tuple(claims.values()), unchecked)


def _claim(given: dict, commands: Mapping, tolerances: Mapping) -> Claim:
    given = dict(given)
    tolerance = tolerances[name := given.pop("tolerance")]
    if set(tolerance) != {"within", "because"}:
        raise ValueError(f"tolerance {name} has {', '.join(map(str, tolerance))}, not within and because")
    runs, minus = (_names(given.pop(key, [])) for key in ("run", "minus"))
    unknown = [name for name in (*runs, *minus) if name not in commands]
    if unknown or not runs:
        raise LookupError(f"no command makes the run {', '.join(unknown) or '(none named)'}")
    own = {key: given.pop(key) for key in ("id", "text", "expected", "measure")}
    own |= {key: given.pop(key) for key in ("over", "times", "written") if key in given}
    if own.get("over", "mean") not in OVER:
        raise ValueError(f"over: {own['over']}, not one of {', '.join(OVER)}")
    inspect.signature(MEASURES[own["measure"]]).bind(None, **given)
    return Claim(within=float(tolerance["within"]), because=tolerance["because"], runs=runs, minus=minus, settings=given, **own)


def _names(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)

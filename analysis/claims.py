"""README's numbers against the runs that are there: reproduced, differs, or not run."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.claim_list import Claim, ClaimList, read_claims
from analysis.load import Run, read_run
from analysis.measures import MEASURES
from analysis.render import DASH, Table, number, text
from clnet.errors import DataError, UsageError

REPRODUCED, DIFFERS, NOT_RUN = "reproduced", "differs", "not run"


@dataclass(frozen=True)
class Verdict:
    """What became of a claim. found: NaN where nothing was; missing: the runs that are not there, or not finished."""

    claim: Claim
    word: str
    found: float = math.nan
    missing: tuple[str, ...] = ()
    note: str = ""


def check(file: Path, runs: Path) -> None:
    """Print the verdict on each claim of `file` by the run folders in `runs`, and the commands of the runs that are missing.

    Raises DataError for a list of claims that is wrong, and where a claim differs: then the two do not belong together.
    """
    listed = read_claims(file)
    verdicts = judge(listed, runs)
    print(summary(listed, verdicts))
    differing = [verdict for verdict in verdicts if verdict.word == DIFFERS]
    if differing:
        raise DataError(f"{len(differing)} of {len(verdicts)} claims differ from the runs", where=f"{file}, {runs}",
                        found="".join(f"\n    {verdict.claim.id}: {_in_words(verdict)}" for verdict in differing),
                        fix="if the runs are of this version, correct README.md and claims.yaml; if not, remove them and run again")


def judge(listed: ClaimList, runs: Path) -> list[Verdict]:
    """One verdict for each claim, in their order."""
    there: dict[str, Run] = {}
    broken: dict[str, str] = {}
    for name in listed.commands:
        try:
            if _is_finished(Path(runs) / name):
                there[name] = read_run(Path(runs) / name)
        except (DataError, UsageError) as error:
            broken[name] = str(error)
    return [_verdict(claim, there, broken) for claim in listed.claims]


def summary(listed: ClaimList, verdicts: Sequence[Verdict]) -> str:
    """The verdicts as a table, the commands that would make the missing runs, and how many claims there are of each kind."""
    header = ("claim", "verdict", "stated", "within", "found", "run")
    rows = tuple((verdict.claim.id, verdict.word, _number(verdict.claim, verdict.claim.expected), f"{verdict.claim.within:g}",
                  _number(verdict.claim, verdict.found), _where(verdict.claim)) for verdict in verdicts)
    missing = dict.fromkeys(name for verdict in verdicts for name in verdict.missing)
    count = Counter(verdict.word for verdict in verdicts)
    lines = [text(Table("claims", "Claims", header, rows, pd.DataFrame(rows, columns=list(header))))]
    lines += ["", "To make what is not there:", *(f"  {listed.commands[name]}" for name in missing)] if missing else []
    return "\n".join([*lines, "", f"claims: {', '.join(f'{word} {count[word]}' for word in (REPRODUCED, DIFFERS, NOT_RUN))}; "
                                  f"besides, {len(listed.unchecked)} statements that no run can tell"])


def _is_finished(folder: Path) -> bool:
    """Whether the run is there and says that it is complete; one without status.json counts as complete."""
    if not (folder / "scores.csv").is_file():
        return False
    try:
        return json.loads((folder / "status.json").read_text()).get("state") == "finished"
    except FileNotFoundError:
        return True
    except ValueError:
        return False


def _verdict(claim: Claim, there: dict[str, Run], broken: dict[str, str]) -> Verdict:
    names = (*claim.runs, *claim.minus)
    for name in names:
        if name in broken:
            return Verdict(claim, DIFFERS, note=f"{name}: {broken[name]}")
    missing = tuple(name for name in names if name not in there)
    if missing:
        return Verdict(claim, NOT_RUN, missing=missing)
    try:
        found = claim.times * (_over(claim, claim.runs, there) - (_over(claim, claim.minus, there) if claim.minus else 0.0))
    except LookupError as error:
        return Verdict(claim, DIFFERS, note=f"the run has no {error}")
    near = abs(found - claim.expected) <= claim.within + 1e-9  # not so for NaN
    return Verdict(claim, REPRODUCED if near else DIFFERS, found)


def _over(claim: Claim, names: Sequence[str], there: dict[str, Run]) -> float:
    values = pd.Series([MEASURES[claim.measure](there[name], **claim.settings) for name in names])
    return float(getattr(values, claim.over)())


def _where(claim: Claim) -> str:
    return ", ".join(claim.runs) + (f" minus {', '.join(claim.minus)}" if claim.minus else "")


def _in_words(verdict: Verdict) -> str:
    claim = verdict.claim
    return verdict.note or (f"{_number(claim, verdict.found)} in {_where(claim)}, stated {_number(claim, claim.expected)} "
                            f"within {claim.within:g} ({claim.because}): {claim.text}")


def _number(claim: Claim, value: float) -> str:
    """With the digits of what is stated, or one more than its tolerance has."""
    stated, tolerance = (len(f"{shown:g}".partition(".")[2]) for shown in (claim.expected, claim.within))
    digits = max(stated, tolerance + 1 if tolerance else 0)
    return DASH if math.isnan(value) else number(value, digits)

"""One exhibit as the page shows it: what the runs made of it, which of them are in it, and how complete it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from analysis.exhibit import Exhibit, Made
from analysis.groups import Group
from analysis.provenance import anchor
from analysis.render import Table

STATES = COMPLETE, PARTLY, PAPER_ONLY = "complete", "in part", "paper only"


@dataclass(frozen=True)
class Chapter:
    """A made exhibit. runs: names of the groups that are in it."""

    number: str
    title: str
    commands: tuple[str, ...]
    made: Made
    runs: tuple[str, ...]

    @property
    def anchor(self) -> str:
        """Its identifier in the page."""
        return anchor(self.number)

    @cached_property
    def state(self) -> str:
        """How far our runs fill it."""
        return PAPER_ONLY if not self.runs else PARTLY if self.made.missing else COMPLETE


def chapter(exhibit: Exhibit, groups: Sequence[Group]) -> Chapter:
    """Make an exhibit from the runs; where it does not say which it took, those whose names stand in it count."""
    made = exhibit.make(groups)
    runs = made.runs if made.runs is not None else tuple(group.name for group in groups if _names(made, group.name))
    return Chapter(exhibit.number, exhibit.title, exhibit.commands, made, runs)


def index_table(chapters: Sequence[Chapter]) -> Table:
    """One row per exhibit, in the paper's order."""
    data = pd.DataFrame([{"number": one.number, "title": one.title, "state": one.state, "missing": len(one.made.missing),
                          "runs": ", ".join(one.runs)} for one in chapters], columns=["number", "title", "state", "missing", "runs"])
    rows = tuple((one.number, one.title, one.state, str(len(one.made.missing)), str(len(one.runs))) for one in chapters)
    return Table("index", "Index", ("in the paper", "what it shows", "ours", "missing", "runs"), rows, data,
                 ("missing: sentences on what is not there; each stands below its table with the command that would fill it. "
                  "runs: names of runs that ours come from.",))


def _names(made: Made, name: str) -> bool:
    word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    texts = [picture.caption for picture in made.pictures]
    for table in made.tables:
        texts += [table.title, *table.header, *table.notes, *(cell for row in table.rows for cell in row)]
        texts += [str(text) for _, column in table.data.select_dtypes(exclude="number").items() for text in column.unique()]
    return any(map(word.search, texts))

"""Which of the paper's organ-wise numbers contradict others of its own: marks beside the cells, and notes that explain them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

import pandas as pd
import yaml

from analysis.published import RESULTS

FILE = RESULTS.parent / "doubtful.yaml"
FLAGGED = "flagged"


@dataclass(frozen=True)
class Doubt:
    """What is wrong with some cells of some tables; without a `mark` the note belongs to a table as a whole."""

    note: str
    tables: tuple[str, ...]
    mark: str | None = None
    methods: tuple[str, ...] = ("*",)
    structures: tuple[str, ...] = ("*",)

    def touches(self, table: str, method: str, structure: str) -> bool:
        """Whether the cell of a method (`CLNet_U36`) and structure in a table (`S12`) bears the mark."""
        return (self.mark is not None and table in self.tables and any(fnmatchcase(method, pattern) for pattern in self.methods)
                and any(structure in copied() if pattern == FLAGGED else fnmatchcase(structure, pattern) for pattern in self.structures))


@cache
def doubts() -> tuple[Doubt, ...]:
    """All of `reference/doubtful.yaml`."""
    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return tuple(Doubt(**{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items() if key != "source"})
                 for entry in entries)


@cache
def copied() -> frozenset[str]:
    """Structures whose CL-Net U36 value in Tables S12 to S14 equals CL-Net U5's: suspected copies (NOTES.md A2)."""
    wide = pd.read_csv(RESULTS / "figS1_structures_wide.csv")
    return frozenset(wide.loc[wide["flag"].notna(), "structure"])


def marks(table: str, method: str, structure: str) -> str:
    """The letters beside a cell, `""` for a cell without doubt."""
    return "".join(doubt.mark for doubt in doubts() if doubt.touches(table, method, structure))


def notes(table: str) -> list[str]:
    """One sentence for each mark and each doubt of a table (`S12`)."""
    return [f"[{doubt.mark}] {doubt.note}." if doubt.mark else doubt.note for doubt in doubts() if table in doubt.tables]

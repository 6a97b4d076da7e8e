"""What the paper shows, by its number there, and how our runs make the same: the pieces that the benchmark's page is put together of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from analysis.groups import Group
from analysis.render import Table


@dataclass(frozen=True)
class Picture:
    """A figure, its file name without ending, and its caption."""

    figure: Figure
    name: str
    caption: str


@dataclass(frozen=True)
class Made:
    """What the runs at hand allowed. missing: sentences on what is not there; an exhibit without any is complete. runs: names of the
    groups that our numbers come from; None: those whose names occur in the tables and captions."""

    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    missing: tuple[str, ...] = ()
    runs: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Exhibit:
    """A table or figure of the paper.

    number: as the paper has it (`Table 2`, `Table S12`, `Figure 4`); title: what it shows, in a few words; commands: what would fill it,
    one line each; make: runs by name -> tables that hold the paper's numbers and, as far as these runs allow, ours beside them.
    """

    number: str
    title: str
    commands: tuple[str, ...]
    make: Callable[[Sequence[Group]], Made]

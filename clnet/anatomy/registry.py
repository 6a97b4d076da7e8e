"""Reads the anatomy tables of this package and checks them: counts, names, aliases, decoders, supporting graph.

Source: CL-Net, Table S5 (structures, decoders, FL-supporting), Fig. 3 (groups); spellings from all of its tables.
"""

from __future__ import annotations

import csv
import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

import yaml

from clnet.anatomy.graph import level_by_decoder
from clnet.errors import UsageError
from clnet.types import Decoder, Structure


@dataclass(frozen=True)
class Registry:
    """Structures and decoders by name, decoders sorted by FL level; a checked value, never changed in place."""

    structures: Mapping[str, Structure]
    decoders: Mapping[str, Decoder]
    aliases: Mapping[str, tuple[str, ...]]

    def decoder_of(self, structure: str) -> Decoder:
        """The decoder that segments a canonical structure. Raises UsageError for an unknown name."""
        if structure not in self.structures:
            raise self._unknown("structure", structure, self.structures)
        return self.decoders[self.structures[structure].decoder]

    def resolve(self, alias: str) -> tuple[str, ...]:
        """Canonical structures behind any spelling: one, several for a union (`A_Aorta`), none for a label in no decoder.

        Raises UsageError for a spelling that occurs nowhere, with the nearest ones.
        """
        if alias in self.structures:
            return (alias,)
        if alias not in self.aliases:
            raise self._unknown("anatomy", alias, [*self.structures, *self.aliases])
        return self.aliases[alias]

    def with_decoders(self, extra: Iterable[Decoder]) -> Registry:
        """A checked copy with decoders (and their structures) that are not in the paper, such as a target volume."""
        extra = tuple(extra)
        if not extra:
            return self
        structures, decoders = dict(self.structures), dict(self.decoders)
        for decoder in extra:
            same = decoders.get(decoder.name)
            if same is not None and replace(same, fl_level=decoder.fl_level) == decoder:
                continue
            if same is not None:
                raise UsageError("decoder is declared twice, differently", where=decoder.name, fix="give one of them another name")
            taken = [name for name in decoder.structures if name in structures]
            if taken:
                raise UsageError("structures belong to two decoders", where=decoder.name, found=taken,
                                 fix=f"they are in {structures[taken[0]].decoder} already")
            decoders[decoder.name] = decoder
            structures |= {name: Structure(name, decoder.group, decoder.name, _side(name)) for name in decoder.structures}
        return _checked(structures, decoders, self.aliases)

    def with_supporters(self, graph: Mapping[str, Iterable[str]]) -> Registry:
        """A checked copy in which decoders support each other by `graph` (decoder -> supporters) and by nothing else.

        Raises UsageError for an unknown decoder, or where decoders would support each other in a circle.
        """
        for name in {*graph, *(supporter for supporters in graph.values() for supporter in supporters)}:
            if name not in self.decoders:
                raise self._unknown("decoder", name, self.decoders)
        decoders = {name: replace(decoder, supporters=tuple(graph.get(name, ()))) for name, decoder in self.decoders.items()}
        return _checked(dict(self.structures), decoders, self.aliases)

    @staticmethod
    def _unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
        near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
        return UsageError(f"unknown {kind}", found=name, fix=f"nearest names: {', '.join(near)}" if near else "see clnet/anatomy/facts")


@cache
def load() -> Registry:
    """The paper's registry. Raises UsageError if the shipped tables contradict themselves or each other."""
    folder = resources.files("clnet.anatomy") / "facts"
    table = yaml.load((folder / "decoders.yaml").read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    rows = list(csv.DictReader((folder / "structures.csv").read_text(encoding="utf-8").splitlines()))
    alias_rows = list(csv.DictReader((folder / "aliases.csv").read_text(encoding="utf-8").splitlines()))

    structures = {row["name"]: Structure(row["name"], row["group"], row["decoder"], row["side"] or None) for row in rows}
    decoders = {d["name"]: Decoder(d["name"], d["group"], tuple(d["structures"]), tuple(d["fl_supporting"]), d["fl_level"],
                                   d.get("nested", False)) for d in table["decoders"]}
    registry = _checked(structures, decoders, read_aliases(rows, alias_rows, structures))
    check_counts(registry, table, len(rows), len(table["decoders"]))
    check_levels(registry, decoders)
    return registry


def read_aliases(rows: list[dict], alias_rows: list[dict], structures: Mapping[str, Structure]) -> dict[str, tuple[str, ...]]:
    """spelling -> structures, from both tables, each also with underscores for dots. Raises UsageError on two meanings."""
    found: dict[str, tuple[str, ...]] = {}

    def add(alias: str, names: tuple[str, ...]) -> None:
        clash = found.get(alias, (alias,) if alias in structures else names)
        if clash != names:
            raise UsageError("one spelling has two meanings", where=alias, found=f"{clash} and {names}")
        found[alias] = names

    repeated = [alias for alias, n in Counter(row["alias"] for row in alias_rows).items() if n > 1]
    if repeated:
        raise UsageError("spellings are listed twice", found=repeated)
    for row in alias_rows:
        names = tuple(filter(None, row["canonical"].split(";")))
        unknown = [name for name in names if name not in structures]
        if unknown:
            raise UsageError("alias of an unknown structure", where=row["alias"], found=unknown)
        add(row["alias"], names)
        add(row["alias"].replace(".", "_").replace("/", "_").replace(" ", "_"), names)
    for row in rows:
        for alias in filter(None, row["aliases"].split(";")):
            add(alias, (row["name"],))
    return found


def check_counts(registry: Registry, table: dict, n_structure_rows: int, n_decoder_rows: int) -> None:
    """Raises UsageError unless the totals and the totals per group are those that the table states."""
    counted = {"decoders": Counter(d.group for d in registry.decoders.values()),
               "structures": Counter(s.group for s in registry.structures.values())}
    for what, per_group in counted.items():
        stated = {group: numbers[what] for group, numbers in table["groups"].items()}
        if dict(per_group) != stated:
            raise UsageError(f"{what} per group are not as stated", found=dict(per_group), expected=stated)
    totals = {"structures": (n_structure_rows, table["n_structures"]), "decoders": (n_decoder_rows, table["n_decoders"])}
    for what, (found, stated) in totals.items():
        if found != stated or len(getattr(registry, what)) != stated:
            raise UsageError(f"number of {what} is not as stated", found=found, expected=stated)


def check_levels(registry: Registry, stated: Mapping[str, Decoder]) -> None:
    """Raises UsageError unless each stated `fl_level` is the one that follows from the graph."""
    wrong = {name: decoder.fl_level for name, decoder in stated.items() if decoder.fl_level != registry.decoders[name].fl_level}
    if wrong:
        expected = {name: registry.decoders[name].fl_level for name in wrong}
        raise UsageError("fl_level contradicts the supporting graph", found=wrong, expected=expected)


def _checked(structures: dict[str, Structure], decoders: dict[str, Decoder], aliases: Mapping[str, tuple[str, ...]]) -> Registry:
    owners: dict[str, str] = {}
    for decoder in decoders.values():
        for name in decoder.structures:
            known = structures.get(name)
            if known is None or name in owners or (known.decoder, known.group) != (decoder.name, decoder.group):
                raise UsageError("structure and decoder tables disagree", where=name, found=known, expected=f"once, in {decoder.name}")
            owners[name] = decoder.name
    if len(owners) != len(structures):
        raise UsageError("structures are in no decoder", found=sorted(set(structures) - set(owners)))
    levels = level_by_decoder({name: decoder.supporters for name, decoder in decoders.items()})
    levelled = [replace(decoder, fl_level=levels[name]) for name, decoder in decoders.items()]
    ordered = {decoder.name: decoder for decoder in sorted(levelled, key=lambda decoder: decoder.fl_level)}
    return Registry(structures, ordered, aliases)


def _side(name: str) -> str | None:
    return name[-1] if name.endswith(("_L", "_R")) else None

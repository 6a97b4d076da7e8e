"""A dataset as its YAML describes it: which labels it has, which structures they are, where its cases lie, under what terms."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from clnet.anatomy import registry
from clnet.data.layout import SPLITS, HeldOut, Layout
from clnet.errors import DataError, UsageError
from clnet.types import Decoder, Label, RawCase


@dataclass(frozen=True)
class DatasetSpec:
    """One dataset; made by `dataset_spec`, which checks it. `dropped` labels are known to the reader and never learned."""

    name: str
    root: Path
    layout: Layout
    labels: tuple[Label, ...]
    body_group: str
    dropped: tuple[Label, ...] = ()
    decoders: tuple[Decoder, ...] = ()
    split: HeldOut | None = None
    modality: str = "CT"
    licence: str = ""
    how_to_get: str = ""
    paper_slug: str | None = None
    paper_cases: Mapping[str, int] | None = None
    root_key: str = "data.root"

    def cases(self, split: str) -> list[RawCase]:
        """The cases of "train" or "test", sorted by name.

        Raises UsageError when the root or the split is not there, DataError with every unpaired file at once.
        """
        if split not in SPLITS:
            raise UsageError("unknown split", where=self.name, found=split, expected=SPLITS)
        self._check_root()
        cases, problems = self.layout.find(self.root, "train" if self.split else split, self.name, self.labels)
        if problems:
            raise DataError(f"{self.name}: {len(problems)} file(s) do not belong to a complete case", where=self.root,
                            found="\n    " + "\n    ".join(problems),
                            fix="add what is missing, or move the listed files out of the dataset")
        if not cases:
            raise UsageError(f"{self.name}: no {split} cases found", where=self.root, expected=self.layout, fix=self.how_to_get or None)
        return self.split.divide(cases)[split] if self.split else cases

    def label_of(self, name: str) -> Label:
        """The label of that name. Raises UsageError if the dataset has none."""
        for label in self.labels:
            if label.name == name:
                return label
        raise UsageError("dataset has no such label", where=self.name, found=name, expected=[label.name for label in self.labels])

    def decoder_of(self, label: str) -> Decoder:
        """The decoder that all structures of a label belong to."""
        return registry.load().with_decoders(self.decoders).decoder_of(self.label_of(label).structures[0])

    def known_values(self) -> set[int]:
        """Label-map values that may occur: background, labels, dropped labels."""
        return {0, *chain.from_iterable(label.values for label in (*self.labels, *self.dropped))}

    def identity(self) -> str:
        """Hash of what the dataset means: labels, decoders, layout, split; not of where it lies, nor of its prose."""
        meaning = {"name": self.name, "modality": self.modality, "labels": [asdict(label) for label in self.labels],
                   "dropped": [asdict(label) for label in self.dropped], "decoders": [asdict(decoder) for decoder in self.decoders],
                   "layout": [type(self.layout).__name__, asdict(self.layout)], "split": asdict(self.split) if self.split else None}
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:16]

    def _check_root(self) -> None:
        if self.root.is_dir():
            return
        parent = next(folder for folder in self.root.parents if folder.exists())
        raise UsageError(f"{self.name}: the dataset's folder does not exist", where=self.root,
                         found=f"nearest existing folder: {parent}", expected="its public release in the layout of its YAML",
                         fix=f"set {self.root_key}=PATH; {self.how_to_get}".rstrip("; "))


def dataset_spec(*, name: str, root: str | Path, layout: Layout, labels: Mapping, body_group: str, dropped: Mapping | None = None,
                 decoders: Sequence[Mapping | Decoder] = (), paper_cases: Mapping | None = None, **rest) -> DatasetSpec:
    """A checked DatasetSpec out of plain YAML values.

    labels, dropped: name -> value, list of values, or {values, structures} / {files, structures}; `structures` may be left out where
    the name is canonical. decoders: {name, group, structures, supporters, nested} for what the registry lacks.
    Raises UsageError with every contradiction at once.
    """
    extra = tuple(decoder if isinstance(decoder, Decoder) else _decoder(decoder) for decoder in decoders or ())
    known = registry.load().with_decoders(extra)
    spec = DatasetSpec(name=name, root=Path(root).expanduser().resolve(), layout=layout, body_group=body_group, decoders=extra,
                       labels=tuple(_label(key, value, known.structures) for key, value in labels.items()),
                       dropped=tuple(_label(key, value, {}) for key, value in (dropped or {}).items()),
                       paper_cases=dict(paper_cases) if paper_cases else None, **rest)
    problems = list(_problems(spec, known))
    if problems:
        raise UsageError(f"{name}: the dataset's YAML contradicts itself or the registry", where=f"conf/dataset ({name})",
                         found="\n    " + "\n    ".join(problems))
    return spec


def _label(name: str, value, structures: Mapping) -> Label:
    entry = value if isinstance(value, Mapping) else {"values": value}
    listed = _list(entry.get("structures")) or ([name] if name in structures else [])
    return Label(str(name), tuple(listed), tuple(_list(entry.get("values"))), tuple(_list(entry.get("files"))))


def _decoder(entry: Mapping) -> Decoder:
    return Decoder(entry["name"], entry.get("group", "Lesion"), tuple(entry.get("structures", [entry["name"]])),
                   tuple(entry.get("supporters", ())), nested=bool(entry.get("nested", False)))


def _list(value) -> list:
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _problems(spec: DatasetSpec, known: registry.Registry):
    if not spec.labels:
        yield "no labels"
    per_file = spec.layout.one_file_per_label
    names = [label.name for label in (*spec.labels, *spec.dropped)]
    yield from (f"{name}: listed twice" for name in sorted({name for name in names if names.count(name) > 1}))
    for label in (*spec.labels, *spec.dropped):
        if not (label.files if per_file else label.values) or (label.values if per_file else label.files):
            yield f"{label.name}: this layout needs {'`files`' if per_file else 'label `values`'}, and nothing else"
        if any(not isinstance(value, int) or not 0 < value < 65536 for value in label.values):
            yield f"{label.name}: label values are whole numbers of 1 to 65535, not {list(label.values)}"
    for label in spec.labels:
        unknown = [structure for structure in label.structures if structure not in known.structures]
        if not label.structures or unknown:
            hint = known.aliases.get(label.name, ())
            yield (f"{label.name}: {f'unknown structures {unknown}' if unknown else 'no canonical name, so it needs `structures`'}"
                   + (f"; the paper's {label.name} is {list(hint)}" if hint else ""))
        elif len({known.decoder_of(structure).name for structure in label.structures}) > 1:
            yield f"{label.name}: its structures belong to several decoders"
    yield from _overlaps(spec, known)


def _overlaps(spec: DatasetSpec, known: registry.Registry):
    """One structure in two labels; one value or file in two labels of a decoder that is not nested, or both learned and dropped."""
    for i, first in enumerate(spec.labels):
        for second in spec.labels[i + 1:]:
            twice = set(first.structures) & set(second.structures)
            if twice:
                yield f"{first.name}, {second.name}: both contain {sorted(twice)}"
            shared = set(first.values) & set(second.values) | set(first.files) & set(second.files)
            owners, others = ({known.structures[name].decoder for name in label.structures if name in known.structures}
                              for label in (first, second))
            if shared and any(not known.decoders[decoder].nested for decoder in owners & others):
                yield f"{first.name}, {second.name}: both take {sorted(shared)}, in one decoder that is not nested"
        for other in spec.dropped:
            both = set(first.values) & set(other.values) | set(first.files) & set(other.files)
            if both:
                yield f"{first.name}: takes {sorted(both)}, which {other.name} drops"

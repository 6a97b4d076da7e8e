"""Where a dataset's files lie: each layout lists the cases of one split without reading a volume.

Every layout is a frozen value that YAML builds by `_target_`. `find` returns the cases and, beside them, everything that
does not fit (an image without a label, a label without an image), so that all of it can be reported at once.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from clnet.errors import UsageError
from clnet.types import Label, RawCase

SPLITS = ("train", "test")


class Layout(Protocol):
    """What a dataset needs of its layout."""

    one_file_per_label: ClassVar[bool]

    def find(self, root: Path, split: str, dataset: str, labels: tuple[Label, ...]) -> tuple[list[RawCase], list[str]]:
        """(cases sorted by name, problems) of a split; raises UsageError where the tree itself is not this layout."""


@dataclass(frozen=True)
class NnunetRaw:
    """nnU-Net raw: `imagesTr/CASE_0000.nii.gz` beside `labelsTr/CASE.nii.gz`; other channels are left alone."""

    train_images: str = "imagesTr"
    train_labels: str = "labelsTr"
    test_images: str = "imagesTs"
    test_labels: str = "labelsTs"
    channel: str = "0000"
    ending: str = ".nii.gz"
    one_file_per_label: ClassVar[bool] = False

    def find(self, root: Path, split: str, dataset: str, labels: tuple[Label, ...]) -> tuple[list[RawCase], list[str]]:
        image_folder = root / (self.train_images if split == "train" else self.test_images)
        label_folder = root / (self.train_labels if split == "train" else self.test_labels)
        for folder in (image_folder, label_folder):
            if not folder.is_dir():
                raise UsageError(f"{dataset}: no folder for the {split} split", where=folder,
                                 expected=f"nnU-Net raw layout under {root}",
                                 fix="check the dataset's root; if the release labels training cases only, hold some out: "
                                 "`split: {_target_: clnet.data.layout.HeldOut, fraction: 0.2}`")
        suffix = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})$")
        images, problems = {}, []
        for name in _names(image_folder, self.ending):
            match = suffix.match(name)
            if match is None:
                problems.append(f"{image_folder / (name + self.ending)}: image name without a channel suffix such as _{self.channel}")
            elif match["channel"] == self.channel:
                images[match["case"]] = image_folder / f"{name}{self.ending}"
        masks = {name: label_folder / f"{name}{self.ending}" for name in _names(label_folder, self.ending)}
        problems += [f"{images[case]}: image without a label {label_folder / (case + self.ending)}"
                     for case in sorted(images.keys() - masks)]
        problems += [f"{masks[case]}: label without an image" for case in sorted(masks.keys() - images)]
        annotated = frozenset(label.name for label in labels)
        cases = [RawCase(dataset, case, images[case], masks[case], annotated) for case in sorted(images.keys() & masks)]
        return cases, problems


@dataclass(frozen=True)
class FilePerStructure:
    """One folder a case with one mask a structure, as TotalSegmentator publishes it; a table says which case is in which split."""

    image: str = "ct.nii.gz"
    folder: str = "segmentations"
    ending: str = ".nii.gz"
    split_table: str | None = None
    delimiter: str = ";"
    case_column: str = "image_id"
    split_column: str = "split"
    train_values: tuple[str, ...] = ("train",)
    test_values: tuple[str, ...] = ("test",)
    one_file_per_label: ClassVar[bool] = True

    def __post_init__(self):
        object.__setattr__(self, "train_values", tuple(self.train_values))
        object.__setattr__(self, "test_values", tuple(self.test_values))

    def find(self, root: Path, split: str, dataset: str, labels: tuple[Label, ...]) -> tuple[list[RawCase], list[str]]:
        on_disk = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        problems: list[str] = []
        if self.split_table is None:
            if split != "train":
                raise UsageError(f"{dataset}: the layout has no table that names a {split} split", where=root,
                                 fix="give layout.split_table, or hold cases out by `split`")
            chosen = on_disk
        else:
            split_by_case = {row[self.case_column]: row[self.split_column] for row in
                             _table(root / self.split_table, dataset, (self.case_column, self.split_column), self.delimiter)}
            wanted = self.train_values if split == "train" else self.test_values
            chosen = sorted(case for case, value in split_by_case.items() if value in wanted)
            problems += [f"{root / case}: case of {self.split_table} without a folder" for case in chosen if case not in set(on_disk)]
            problems += [f"{root / case}: folder that {self.split_table} does not list" for case in on_disk if case not in split_by_case]
        names = [name for label in labels for name in label.files]
        cases = []
        for case in chosen:
            folder = root / case
            if not folder.is_dir():
                continue
            missing = [path for path in [folder / self.image, *(folder / self.folder / f"{name}{self.ending}" for name in names)]
                       if not path.is_file()]
            problems += [f"{path}: file is missing" for path in missing]
            if not missing:
                annotated = frozenset(label.name for label in labels)
                cases.append(RawCase(dataset, case, folder / self.image, folder / self.folder, annotated))
        return cases, problems


@dataclass(frozen=True)
class CaseTable:
    """A CSV with one row a case: its split and, where cases are annotated unequally, what is annotated in it.

    `image` and `label` are paths with `{case}`. `include` narrows the rows to named cases, or to rows whose columns have one of the
    given values; `train_include` names the cases that may be trained on and leaves the test rows as they are, so that several datasets
    can share a table without sharing patients. With an `annotated_column` (names separated by spaces) a label counts as annotated when
    its own name or all of its structures are listed; a case that annotates none of the labels is left out.
    """

    table: str = "cases.csv"
    image: str = "images/{case}.nii.gz"
    label: str = "labels/{case}.nii.gz"
    delimiter: str = ","
    case_column: str = "case"
    split_column: str = "split"
    train_values: tuple[str, ...] = ("train",)
    test_values: tuple[str, ...] = ("test", "valid")
    annotated_column: str | None = None
    include: tuple[str, ...] | Mapping[str, Sequence[str]] | None = field(default=None)
    train_include: tuple[str, ...] | None = None
    one_file_per_label: ClassVar[bool] = False

    def __post_init__(self):
        object.__setattr__(self, "train_values", tuple(self.train_values))
        object.__setattr__(self, "test_values", tuple(self.test_values))
        if isinstance(self.include, Mapping):
            object.__setattr__(self, "include", {key: tuple(map(str, values)) for key, values in self.include.items()})
        elif self.include is not None:
            object.__setattr__(self, "include", tuple(map(str, self.include)))
        if self.train_include is not None:
            object.__setattr__(self, "train_include", tuple(map(str, self.train_include)))

    def find(self, root: Path, split: str, dataset: str, labels: tuple[Label, ...]) -> tuple[list[RawCase], list[str]]:
        columns = [self.case_column, self.split_column]
        columns += [self.annotated_column] if self.annotated_column else []
        columns += list(self.include) if isinstance(self.include, Mapping) else []
        rows = _table(root / self.table, dataset, columns, self.delimiter)
        wanted = self.train_values if split == "train" else self.test_values
        cases, problems = [], []
        named = set(self.include if isinstance(self.include, tuple) else ()) | set(self.train_include or ())
        if named:
            unknown = sorted(named - {row[self.case_column] for row in rows})
            problems += [f"{root / self.table}: no row for the included case {case}" for case in unknown]
        for row in rows:
            trainable = split != "train" or self.train_include is None or row[self.case_column] in self.train_include
            if row[self.split_column] not in wanted or not trainable or not self._included(row):
                continue
            annotated = self._annotated(row, labels)
            if not annotated:
                continue
            case = row[self.case_column]
            image, mask = root / self.image.format(case=case), root / self.label.format(case=case)
            missing = [path for path in (image, mask) if not path.is_file()]
            problems += [f"{path}: file of a case in {self.table} is missing" for path in missing]
            if not missing:
                cases.append(RawCase(dataset, case, image, mask, annotated))
        return sorted(cases, key=lambda raw: raw.case), problems

    def _included(self, row: dict[str, str]) -> bool:
        if isinstance(self.include, Mapping):
            return all(row[column] in values for column, values in self.include.items())
        return self.include is None or row[self.case_column] in self.include

    def _annotated(self, row: dict[str, str], labels: tuple[Label, ...]) -> frozenset[str]:
        if self.annotated_column is None:
            return frozenset(label.name for label in labels)
        listed = set(row[self.annotated_column].split())
        return frozenset(label.name for label in labels if label.name in listed or listed.issuperset(label.structures))


@dataclass(frozen=True)
class HeldOut:
    """Test cases out of a release that labels its training cases only, chosen by a hash: stable across machines and listings.

    `key`: a regular expression whose first group is hashed in place of the whole case name. Scans that share it stay on one side
    (several scans of a patient), also across datasets that number the same scans alike (LiTS and MSD Liver).
    """

    fraction: float = 0.2
    seed: int = 0
    key: str | None = None

    def __post_init__(self):
        if not 0 < self.fraction < 1:
            raise UsageError("fraction of held-out cases must lie between 0 and 1", where="split.fraction", found=self.fraction)

    def divide(self, cases: list[RawCase]) -> dict[str, list[RawCase]]:
        """split name -> cases, each in the given order; round(fraction * keys) of the keys, at least one, are tested."""
        keys = sorted({self._key(raw.case) for raw in cases}, key=self._rank)
        tested = set(keys[:max(1, round(self.fraction * len(keys)))])
        return {"train": [raw for raw in cases if self._key(raw.case) not in tested],
                "test": [raw for raw in cases if self._key(raw.case) in tested]}

    def _key(self, case: str) -> str:
        match = re.search(self.key, case) if self.key else None
        if self.key and match is None:
            raise UsageError("case name does not match the split's key", where=case, expected=self.key, fix="correct split.key")
        return match[1] if match else case

    def _rank(self, key: str) -> str:
        return hashlib.sha256(f"{self.seed}/{key}".encode()).hexdigest()


def _names(folder: Path, ending: str) -> list[str]:
    return sorted(path.name.removesuffix(ending) for path in folder.iterdir()
                  if path.name.endswith(ending) and not path.name.startswith("."))


def _table(path: Path, dataset: str, columns: Sequence[str], delimiter: str) -> list[dict[str, str]]:
    if not path.is_file():
        raise UsageError(f"{dataset}: the table of cases is missing", where=path, fix="check the dataset's root")
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, delimiter=delimiter))
    missing = [column for column in columns if not rows or column not in rows[0]]
    if missing:
        raise UsageError(f"{dataset}: the table of cases lacks columns", where=path,
                         found=list(rows[0]) if rows else "no rows", expected=missing)
    return rows

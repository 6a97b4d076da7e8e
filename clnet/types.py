"""The vocabulary that all packages share. Arrays are (z, y, x); spacings are in mm in the same order.

Batch keys (torch, made by `clnet.data.datamodule`):
    image              (batch, channel, z, y, x) float32, normalised HU
    target/<decoder>   (batch, z, y, x) uint8 index into the decoder's label groups, 0 = background;
                       (batch, label, z, y, x) bool for a decoder whose structures are nested
    valid/<decoder>    (batch,) bool: the case annotates every label of that decoder
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Structure:
    """One anatomical structure in the paper's canonical spelling (`GlnD_Parotid_L`)."""

    name: str
    group: str  # Head & Neck, Chest, Abdomen, Bone, LNS, Lesion, Body
    decoder: str
    side: str | None = None  # "L", "R" or None


@dataclass(frozen=True)
class Decoder:
    """The structures that one decoding path segments together, and the decoders whose features support it (Table S5)."""

    name: str
    group: str
    structures: tuple[str, ...]
    supporters: tuple[str, ...] = ()
    fl_level: int = 0
    nested: bool = False  # structures contain each other (Larynx): independent sigmoids instead of a softmax


@dataclass(frozen=True)
class Label:
    """One annotated target of a dataset: a canonical structure, or a named union of several of one decoder (`A_Aorta`).

    `values` are the label-map values that make it up (several when structures are nested in one map); a dataset with one
    file per target gives `files` instead, whose union is taken.
    """

    name: str
    structures: tuple[str, ...]
    values: tuple[int, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class RawCase:
    """Where one scan and its annotation lie, before anything was read."""

    dataset: str
    case: str
    image: Path
    label: Path | None  # one label map, or the folder that holds one file per label
    annotated: frozenset[str]  # names of the labels that this case annotates; others are unknown, not absent


@dataclass(frozen=True)
class Geometry:
    """Grid of a volume in LPS orientation, and how to return to the file's own orientation.

    origin_mm and direction are ITK's, (x, y, z); shape and spacing are (z, y, x).
    """

    shape_zyx: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm_xyz: tuple[float, float, float]
    direction_xyz: tuple[float, ...]
    file_orientation: str = "LPS"  # SimpleITK's DICOMOrient code of the file itself


@dataclass(frozen=True)
class Task:
    """One step of a continual order: the dataset to learn and, through it alone, its training cases."""

    step: int
    dataset: str
    labels: tuple[Label, ...]
    cases: tuple = ()  # prepared training cases (clnet.data.store.PreparedCase)
    identity: str = ""  # of the prepared dataset, and of what of its labels is left
    scans: str = ""  # of the prepared dataset alone, where labels are hidden


@dataclass(frozen=True)
class Part:
    """A piece of a method that predicts some structures on its own; `identity` changes whenever its predictions may.

    CL-Net has one part per decoder; a method with a single network has one part. `labels` is what it has learned so far: a
    structure, or a union of several where no dataset has yet told them apart. Its label map holds i + 1 for labels[i], or
    bit i where the labels are nested. datasets: the only ones that it is scored on; None: all that have its labels.
    """

    name: str
    labels: tuple[Label, ...]
    identity: str
    nested: bool = False
    datasets: frozenset[str] | None = None

    def title(self, label: Label) -> str:
        """Name of a label in files that hold those of all parts: `Liver`, or `Liver@FLARE22` of a part for one dataset alone."""
        return "@".join([label.name, *sorted(self.datasets or ())])

    def mask(self, label_map: np.ndarray, structures: Iterable[str]) -> np.ndarray | None:
        """Voxels of the union of `structures` in this part's label map; None where the part cannot tell that union apart.

        label_map: (z, y, x) uint8 or uint16. Returns (z, y, x) bool.
        """
        wanted = set(structures)
        chosen = [index for index, label in enumerate(self.labels) if set(label.structures) <= wanted]
        if wanted != {structure for index in chosen for structure in self.labels[index].structures}:
            return None
        if self.nested:
            return (label_map & sum(1 << index for index in chosen)) > 0
        return np.isin(label_map, [index + 1 for index in chosen])


@dataclass(frozen=True)
class Footprint:
    """Size of everything that a method needs at inference.

    nominal_share_sum: the paper's sum of T' over all decoders, None for a method without decoders of its kind; nominal_parameters_m:
    millions of parameters as the paper counts them. decoder_multiply_adds_m, decoder_seconds: of one window in all decoders one after
    the other, without the encoder: millions counted, and seconds measured where the run ended; None for methods of another kind.
    """

    parameters: int
    nonzero_parameters: int
    dense_bytes: int
    sparse_bytes: int
    nominal_share_sum: float | None = None
    nominal_parameters_m: float | None = None
    decoder_multiply_adds_m: float | None = None
    decoder_seconds: float | None = field(default=None, compare=False)  # another one each time


@dataclass
class Snapshot:
    """A method after one step, as the harness hands it to the evaluation."""

    step: int
    seen: tuple[str, ...]  # datasets learned so far, in order
    trained_on: str  # the dataset of this step; `all` where all were learned at once
    method: object
    seconds: float = 0.0
    hashes: dict[str, str] = field(default_factory=dict)  # part -> content hash of its weights

"""One mask per structure and one label map per exclusive set, of one scan: what may share voxels stays apart here."""

from __future__ import annotations

import os
import shutil

import numpy as np

from clnet.atomic import replace_folder, write_json, write_text
from clnet.data.writer import write_labels
from clnet.infer.mergedscan import MergedScan
from clnet.types import Geometry, Part
from experiments.scans import Scan

SETS_FILE, NOTE_FILE = "sets.json", "note.txt"


class MaskFolder:
    """Fills NAME_masks: STRUCTURE.nii.gz (0 and 1) for each structure found, by its `Part.title`, SET.set.nii.gz for each exclusive set,
    and sets.json with set -> value -> structure. The folder appears when it is complete."""

    def __init__(self, scan: Scan, geometry: Geometry):
        self.scan, self.geometry = scan, geometry
        self.building = scan.masks.with_name(f".{scan.masks.name}.{os.getpid()}.partial")
        shutil.rmtree(self.building, ignore_errors=True)
        self.building.mkdir(parents=True)

    def add(self, part: Part, label_map: np.ndarray) -> None:
        """label_map: (z, y, x) of a part after merging."""
        for label in part.labels:
            mask = part.mask(label_map, label.structures)
            if mask.any():
                self._write(f"{part.title(label)}.nii.gz", mask.astype(np.uint8))

    def finish(self, merged: MergedScan, note: str) -> None:
        """Write the exclusive sets and publish the folder; note: as in the header of the label map, of which scan and model it is."""
        for name, values in merged.sets():
            self._write(f"{name}.set.nii.gz", values)
        write_json(self.building / SETS_FILE, {name: {str(v): s for v, s in names.items()} for name, names in merged.names.items()})
        write_text(self.building / NOTE_FILE, note)
        replace_folder(self.building, self.scan.masks)

    def _write(self, name: str, values: np.ndarray) -> None:
        write_labels(self.building / name, values, self.geometry, like=self.scan.image)


def noted(scan: Scan) -> str | None:
    """The note of a scan's folder of masks; None without a finished one."""
    place = scan.masks / NOTE_FILE
    return place.read_text() if place.is_file() else None

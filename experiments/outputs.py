"""What a prediction leaves beside its label map, and whether it is there already: each file says itself what it was made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from clnet.data.dicom.segmentation import is_segmentation_of, require_highdicom
from experiments.maskfolder import noted
from experiments.scans import Scan
from experiments.structurestats import read_statistics

# image_hu and values (z, y, x), spacing_mm, value -> name, file, note: draws the file and leaves the note in it
Draw = Callable[[np.ndarray, np.ndarray, tuple[float, float, float], Mapping[int, str], Path, str], object]
NOTE_KEY = "Description"  # of the text in a PNG that holds the note


@dataclass(frozen=True)
class Outputs:
    """masks: a folder of masks and sets; statistics: JSON a scan, and a CSV of all; draw: makes a picture, None: no picture; seg: DICOM
    SEG, of DICOM series only."""

    masks: bool = False
    statistics: bool = False
    draw: Draw | None = None
    seg: bool = False

    @classmethod
    def of(cls, cfg: Mapping, draw: Draw | None) -> Outputs:
        """What a command asks for. Raises UsageError where the library of DICOM SEG is missing."""
        own = cfg.get("predict") or {}
        if own.get("seg"):
            require_highdicom()
        return cls(bool(cfg.get("masks")), bool(own.get("statistics")), draw if own.get("pictures") else None, bool(own.get("seg")))

    def are_there(self, scan: Scan, note: str) -> bool:
        """Whether all that is asked for was made with this note."""
        statistics = read_statistics(scan.statistics) if self.statistics else None
        empty = statistics is not None and not statistics["structures"]  # a SEG without a segment cannot be
        return bool(
            (not self.masks or noted(scan) == note)
            and (not self.statistics or statistics is not None and statistics["note"] == note)
            and (self.draw is None or note_in(scan.picture) == note)
            and (not self.seg or scan.series is None or empty or is_segmentation_of(scan.segmentation, note))
        )


def note_in(picture: Path) -> str | None:
    """The note that a picture was made with; None where it has none or is no whole PNG."""
    try:
        with Image.open(picture) as image:
            return image.text.get(NOTE_KEY)  # reads all of it
    except (OSError, AttributeError, SyntaxError):
        return None

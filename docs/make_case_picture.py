"""Axial slices of one case with the reference (filled) and the prediction (outline).

    python docs/make_case_picture.py IMAGE REFERENCE PREDICTION LABELS_JSON OUTPUT.png VALUE=NAME [VALUE=NAME ...]

REFERENCE holds VALUE for each NAME; PREDICTION and LABELS_JSON are what `task=predict` wrote. Axial slices only: no face can be
recognised in them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import SimpleITK as sitk
from matplotlib.patches import Patch


def main(image: str, reference: str, prediction: str, labels: str, output: str, *names: str) -> None:
    """Draw the slices in which most structures are to be seen."""
    images = [sitk.DICOMOrient(sitk.ReadImage(path), "LPS") for path in (image, reference, prediction)]
    volume, truth, found = (sitk.GetArrayFromImage(one) for one in images)
    spacing = images[0].GetSpacing()
    wanted = {name: int(value) for value, name in (entry.split("=") for entry in names)}
    predicted = {name: int(value) for value, name in json.loads(Path(labels).read_text()).items()}
    colours = dict(zip(wanted, plt.get_cmap("tab10").colors, strict=False))
    places = sorted(int(np.median(np.nonzero(truth == value)[0])) for value in wanted.values() if (truth == value).any())
    slices = sorted({places[0], places[len(places) // 3], places[2 * len(places) // 3], places[-1]})
    figure, axes = plt.subplots(1, len(slices), figsize=(4 * len(slices), 4.6), layout="constrained")
    for axis, z in zip(np.atleast_1d(axes), slices, strict=True):
        axis.imshow(volume[z], cmap="gray", vmin=-160, vmax=240, aspect=spacing[1] / spacing[0])
        for name, value in wanted.items():
            mask = truth[z] == value
            axis.imshow(np.ma.masked_where(~mask, mask), cmap=matplotlib.colors.ListedColormap([colours[name]]), alpha=0.45)
            outline = found[z] == predicted.get(name, -1)
            if outline.any():
                axis.contour(outline, levels=[0.5], colors=[colours[name]], linewidths=1.8)
        rows, columns = np.nonzero(volume[z] > -500)
        axis.set_xlim(columns.min() - 2, columns.max() + 2)
        axis.set_ylim(rows.max() + 2, rows.min() - 2)
        axis.set_title(f"slice {z}", fontsize=10)
        axis.set_axis_off()
    handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6), frameon=False, fontsize=10)
    figure.suptitle("filled: clinical contour, line: prediction", fontsize=11)
    figure.savefig(output, dpi=130)


if __name__ == "__main__":
    if len(sys.argv) < 7:
        sys.exit(__doc__)
    main(*sys.argv[1:])

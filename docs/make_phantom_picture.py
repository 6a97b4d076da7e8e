"""Draws docs/phantom.png from the phantom itself: `python docs/make_phantom_picture.py`."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from clnet.data.phantom import PhantomRecipe, recipe
from clnet.data.phantom.collection import COLLECTIONS
from clnet.data.phantom.hospital import VERTEX_MM

SOFT, BONE, WIDE = (-160, 240), (-250, 1050), (-900, 500)
NAMES = {"whole_body": "whole body", "head_neck": "head and neck", "abdomen": "abdomen", "chest": "chest", "lesion": "kidney lesions"}


def palette(names: tuple[str, ...]) -> np.ndarray:
    """Colour per label value; the two sides of a pair share a hue, neighbours in the list do not."""
    stems = list(dict.fromkeys(name.removesuffix("_L").removesuffix("_R") for name in names))
    hues = (np.arange(len(stems)) * 0.381966) % 1.0
    colours = np.zeros((len(names) + 1, 4))
    for value, name in enumerate(names, 1):
        shade = 0.75 if name.endswith("_R") else 1.0
        hue = hues[stems.index(name.removesuffix("_L").removesuffix("_R"))]
        colours[value] = (*matplotlib.colors.hsv_to_rgb((hue, 0.8, shade)), 1)
    return colours


def scan(slot: str, split: str = "test", number: int = 0):
    found = recipe.jobs(Path("unused"), PhantomRecipe())
    image, labels, spacing_mm, _ = recipe.make(next(job for job in found if (job.slot, job.split, job.number) == (slot, split, number)))
    return image, labels, spacing_mm


def draw(axis, image: np.ndarray, labels: np.ndarray | None, colours, window, extent, alpha: float = 0.5) -> None:
    axis.imshow(image, cmap="gray", vmin=window[0], vmax=window[1], extent=extent, origin="lower" if extent[2] < extent[3] else "upper")
    if labels is not None:
        over = colours[labels].copy()
        over[..., 3] = np.where(labels > 0, alpha, 0)
        axis.imshow(over, extent=extent, origin="lower" if extent[2] < extent[3] else "upper", interpolation="nearest")
    axis.set_axis_off()


def middle(labels: np.ndarray, slot: str, name: str, axis: int) -> int:
    return int(round(np.argwhere(labels == COLLECTIONS[slot].values()[name]).mean(axis=0)[axis]))


def tall(axis, slot: str, plane: str, name: str, over: bool, title: str, window=SOFT) -> None:
    """A coronal or sagittal slice through the middle of a structure, at its height in the body."""
    image, labels, (sz, sy, sx) = scan(slot)
    k = middle(labels, slot, name, 1 if plane == "coronal" else 2)
    cut = (slice(None), k) if plane == "coronal" else (slice(None), slice(None), k)
    bottom = COLLECTIONS[slot].hospital.scores[0] * VERTEX_MM
    width = image.shape[2] * sx if plane == "coronal" else image.shape[1] * sy
    draw(axis, image[cut], labels[cut] if over else None, palette(COLLECTIONS[slot].labels), window,
         (-width / 2, width / 2, bottom, bottom + image.shape[0] * sz))
    axis.set_ylim(-15, VERTEX_MM + 30)
    axis.set_title(title, fontsize=10)


CLOSE = [  # dataset, structure whose middle is shown, shift in slices, window, title, half width of the view (mm), width to height
    ("head_neck", "Lens_L", 0, SOFT, "head: eyes, lenses, nerves,\nbrain stem, temporal lobes", 122, 1.0),
    ("head_neck", "GlnD_Parotid_L", 0, SOFT, "head: parotids,\nmandible, cord", 122, 1.0),
    ("chest", "A_Aorta", 30, SOFT, "chest: aortic arch, trachea, oesophagus", 190, 1.35),
    ("whole_body", "Lung_RML", 0, WIDE, "chest: heart, lobes with fissures", 190, 1.35),
    ("abdomen", "Pancreas", 0, SOFT, "abdomen: pancreas, stomach,\nliver, kidneys, great vessels", 180, 1.35),
    ("lesion", "Kidney_Lesion", 0, SOFT, "kidney tumour (alone labelled)", 180, 1.35),
    ("whole_body", "Bone_Sacrum", 0, BONE, "pelvis: sacrum, hips, gluteus (bone)", 190, 1.35),
]


def main() -> None:
    figure = plt.figure(figsize=(21, 13.5), facecolor="white", constrained_layout=True)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.5, 1))
    axes = upper.subplots(1, 8, width_ratios=(390, 390, 390, 270, 300, 380, 390, 390))  # mm: all on one scale
    upper.suptitle("Five datasets of different patients, on one scale from the pelvis (bottom) to the vertex", fontsize=13)
    tall(axes[0], "whole_body", "coronal", "Heart", False, "whole body, coronal\n(soft tissue)")
    tall(axes[1], "whole_body", "coronal", "Heart", True, "whole body, coronal\n(labels)")
    tall(axes[2], "whole_body", "coronal", "Kidney_L", True, "whole body, further back\n(labels)")
    tall(axes[3], "whole_body", "sagittal", "Bone_Vert_L3", True, "whole body, sagittal\n(bone, labels)", BONE)
    tall(axes[4], "head_neck", "coronal", "BrainStem", True, "head and neck\n(labels)")
    tall(axes[5], "abdomen", "coronal", "Pancreas", True, "abdomen\n(labels)")
    tall(axes[6], "chest", "coronal", "Eso", True, "chest\n(labels)")
    tall(axes[7], "lesion", "coronal", "Kidney_Lesion", True, "kidney lesions\n(labels)")
    rows = lower.subplots(2, len(CLOSE), width_ratios=[entry[-1] for entry in CLOSE])
    lower.suptitle("Axial close-ups: the image above, its labels below (patient's left is on the right)", fontsize=13)
    for column, (slot, name, shift, window, title, reach, ratio) in zip(rows.T, CLOSE):
        image, labels, (_, sy, sx) = scan(slot)
        k = middle(labels, slot, name, 0) + shift
        extent = (-image.shape[2] * sx / 2, image.shape[2] * sx / 2, image.shape[1] * sy / 2, -image.shape[1] * sy / 2)
        for axis, over in zip(column, (None, labels[k])):
            draw(axis, image[k], over, palette(COLLECTIONS[slot].labels), window, extent)
            axis.set_xlim(-reach, reach)
            axis.set_ylim(reach / ratio, -reach / ratio)
        column[0].set_title(title, fontsize=9)
    figure.savefig(Path(__file__).with_name("phantom.png"), dpi=80)


if __name__ == "__main__":
    main()

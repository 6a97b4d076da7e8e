"""P5: DSC, ASD, HD95 and NSD of all structures of a scan, against the `surface-distance` package on whole volumes and on boxes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
import surface_distance
import torch
from scipy import ndimage

from benchmarks.contest import Result, agreement, alternate, speedup
from benchmarks.scans import SPACING_MM, bent, label_map
from clnet.data.store import select
from experiments.region import LabelVolume, Region, score_regions
from experiments.surface import union_box

TOLERANCE_MM = 2.0
SIZES = {"full": ((250, 250, 300), 117, 3), "small": ((40, 48, 44), 9, 1)}  # shape, structures, repeats


def run(size: str = "full") -> list[Result]:
    """Two results: against whole volumes and against boxes. All sides begin with the two label maps and end with four numbers each."""
    shape, structures, repeats = SIZES[size]
    reference = label_map(shape, structures)
    prediction = bent(reference)
    values = [value for value in range(1, structures + 1) if (reference == value).any() and (prediction == value).any()]
    threads = torch.get_num_threads()
    sides: dict[str, Callable[[], np.ndarray]] = {
        "ours": partial(_ours, prediction, reference, values, threads), "one": partial(_ours, prediction, reference, values, 1),
        "whole": partial(_whole, prediction, reference, values), "boxes": partial(_on_boxes, prediction, reference, values),
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # surface-distance asks for namespaces that SciPy gives up
        found = {name: side() for name, side in sides.items()}
        times = alternate(sides, repeats)
    apart = {name: np.abs(found["ours"] - found[name]).max() for name in ("whole", "boxes", "one")}
    equal = agreement("all numbers", max(apart.values()), 1e-9)
    workload = f"DSC, ASD, HD95, NSD of {len(values)} labels, {' x '.join(map(str, shape))}"
    ours = f"score_regions, {threads} threads"
    note = "in one thread it is {:.2f} times as fast as surface-distance {}"
    return [
        Result("P5", workload, ours, f"surface-distance, {words}", speedup(times, "ours", rival), goal, True,
               equal, note.format(speedup(times, "one", rival), words),
               median(times["ours"]), median(times[rival]))
        for rival, words, goal in (("whole", "on the whole volume", 5.0), ("boxes", "on boxes", 2.0))
    ]  # fmt: skip


def _ours(prediction: np.ndarray, reference: np.ndarray, values: list[int], threads: int) -> np.ndarray:
    volumes = LabelVolume(prediction), LabelVolume(reference)
    compared = {str(value): tuple(Region(volume, partial(select, values=(value,))) for volume in volumes) for value in values}
    rows = score_regions(compared, SPACING_MM, tolerance_mm=TOLERANCE_MM, threads=threads)
    return np.array([[row[metric] for metric in ("dsc", "asd_mm", "hd95_mm", "nsd")] for row in rows.values()])


def _whole(prediction: np.ndarray, reference: np.ndarray, values: list[int]) -> np.ndarray:
    return np.array([_with_the_package(prediction == value, reference == value) for value in values])


def _on_boxes(prediction: np.ndarray, reference: np.ndarray, values: list[int]) -> np.ndarray:
    """As one would help oneself: the package on what either map has of a label."""
    boxes = [ndimage.find_objects(labels) for labels in (prediction, reference)]
    found = []
    for value in values:
        box = union_box(boxes[0][value - 1], boxes[1][value - 1])
        found.append(_with_the_package(prediction[box] == value, reference[box] == value))
    return np.array(found)


def _with_the_package(prediction: np.ndarray, reference: np.ndarray) -> tuple[float, float, float, float]:
    distances = surface_distance.compute_surface_distances(reference, prediction, SPACING_MM)
    return (surface_distance.compute_dice_coefficient(reference, prediction),
            0.5 * sum(surface_distance.compute_average_surface_distance(distances)),
            surface_distance.compute_robust_hausdorff(distances, 95),
            surface_distance.compute_surface_dice_at_tolerance(distances, TOLERANCE_MM))

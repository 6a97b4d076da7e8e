"""The case browser: slices of test cases with reference and prediction, drawn by `browser.js` from data inside the page."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from io import BytesIO

import numpy as np
from contourpy import contour_generator
from PIL import Image

from analysis.cases import CaseView, read_cases
from analysis.load import Run
from analysis.page import asset

SLICES = 24  # evenly spaced axial ones of a scan
WINDOWS = {"soft tissue": (40, 400), "lung": (-600, 1500), "bone": (400, 1800)}  # level and width in HU
BUDGET = 8_000_000  # bytes of a page that cases may take


def case_browser(runs: Mapping[str, Run], links: Mapping[str, str] | None = None, budget: int = BUDGET) -> str:
    """HTML of the browser over the case views of `runs` (by the name that the page gives them), and a sentence on each without any.

    A scan that several runs predicted is in the page once. Where the views take more than `budget` bytes, the first cases of each
    dataset are in and a sentence says how many are not; `links` (name -> address) then leads to the runs. Raises DataError for a damaged
    view.
    """
    scans: dict[tuple, dict] = {}
    ranked = []
    for label, run in runs.items():
        seen: dict[str, int] = {}
        for view in read_cases(run):
            key = view.dataset, view.case, sha256(view.image_hu.tobytes()).digest()
            if key not in scans:
                scans[key] = _scan(view)
            known = scans[key]["reference"]
            slices = scans[key]["slices"]
            known |= _outlines(view, "reference", [name for name in view.annotated_names if name not in known], slices)
            ranked.append((seen.get(view.dataset, 0), key, {"run": label} | _prediction(view, slices)))
            seen[view.dataset] = seen.get(view.dataset, 0) + 1
    with_views = {view["run"] for *_, view in ranked}
    notes = [f"No views of test cases in the run folder of {escape(name)}." for name in runs if name not in with_views]
    if not ranked:
        return "".join(f"<p class=note>{note}</p>" for note in notes)
    data, left_out = _within(budget, scans, ranked)
    if left_out:
        more = ", ".join(f"<a href='{escape(links[name])}'>{escape(name)}</a>" for name in left_out if name in (links or {}))
        notes.append(f"{sum(left_out.values())} of {len(ranked)} views have no room in this page{f'; see {more}' if more else ''}.")
    code = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return (f"<style>{asset('browser.css')}</style><div class=cases><script type=application/json>{code}</script>"
            "<noscript>The browser of test cases needs JavaScript.</noscript></div>\n"
            f"{''.join(f'<p class=note>{note}</p>' for note in notes)}<script>{asset('browser.js')}</script>\n")


def _within(budget: int, scans: Mapping[tuple, dict], ranked: list[tuple[int, tuple, dict]]) -> tuple[dict, dict[str, int]]:
    """The data of the browser, and how many views of which run are not in it; first cases go first."""
    chosen, places, left_out, used = [], {}, {}, 0
    for _, key, view in sorted(ranked, key=lambda entry: entry[0]):
        size = len(json.dumps(view)) + (0 if key in places else len(json.dumps(scans[key])))
        if used + size > budget and chosen:
            left_out[view["run"]] = left_out.get(view["run"], 0) + 1
            continue
        used += size
        chosen.append({"scan": places.setdefault(key, len(places))} | view)
    windows = [f"{name} (W {width}, L {level})".replace("-", "\N{MINUS SIGN}") for name, (level, width) in WINDOWS.items()]
    return {"windows": windows, "scans": [scans[key] for key in places], "views": chosen}, left_out


def _scan(view: CaseView) -> dict:
    depth, height, width = view.image_hu.shape
    slices = slices_of(view)
    planes = [*view.image_hu[slices], view.image_hu[::-1, height // 2]]
    images = [[_png(plane, level, span) for plane in planes] for level, span in WINDOWS.values()]
    return {"label": f"{view.dataset}, {view.case}", "size": [width, height, depth], "mm": view.spacing_mm[::-1].tolist(),
            "slices": slices, "images": images, "names": list(view.names), "reference": {}}


def _prediction(view: CaseView, slices: list[int]) -> dict:
    dsc = {name: round(view.score(name), 4) for name in view.names if not np.isnan(view.score(name))}
    return {"names": list(view.names), "annotated": list(view.annotated_names), "dsc": dsc,
            "predicted": _outlines(view, "predicted", view.names, slices)}


def slices_of(view: CaseView) -> list[int]:
    """The axial slices shown: the middles of SLICES slabs of equal thickness (or all), and, of each structure in none, its largest."""
    depth = len(view.image_hu)
    count = min(SLICES, depth)
    chosen = set(((np.arange(count) + 0.5) * depth / count).astype(int).tolist())
    for name in view.annotated_names:
        sizes = view.mask("reference", name).sum(axis=(1, 2))
        if sizes.any() and not sizes[list(chosen)].any():
            chosen.add(int(sizes.argmax()))
    return sorted(chosen)


def _outlines(view: CaseView, kind: str, names: Sequence[str], slices: list[int]) -> dict[str, dict[int, str]]:
    """Structure -> number of the plane (axial slices, then the middle coronal one) -> path; planes without the structure have none."""
    found = {}
    for name in names:
        mask = view.mask(kind, name)
        planes = [*mask[slices], mask[::-1, mask.shape[1] // 2]]
        found[name] = {number: outline(plane) for number, plane in enumerate(planes) if plane.any()}
    return found


def outline(plane: np.ndarray) -> str:
    """An SVG path round a (rows, columns) bool mask, half-way between pixels in and out; in half pixels, x to the right, y down."""
    parts = []
    for line in contour_generator(z=np.pad(plane, 1).astype(float)).lines(0.5):
        points = np.rint(2 * line - 1).astype(int)[:-1]  # centre of pixel i of the padded mask: 2 i - 1 half pixels
        steps = np.roll(points, -1, axis=0) - points
        before = np.roll(steps, 1, axis=0)
        corners = points[before[:, 0] * steps[:, 1] != before[:, 1] * steps[:, 0]]
        moves = " ".join(f"{x} {y}" for x, y in np.diff(corners, axis=0))
        parts.append(f"M{corners[0][0]} {corners[0][1]}l{moves}z")
    return "".join(parts)


def _png(plane_hu: np.ndarray, level: float, width: float) -> str:
    """A (rows, columns) plane in HU as a grey image inside the page."""
    grey = np.clip((plane_hu.astype(float) - level) / width + 0.5, 0, 1)
    stream = BytesIO()
    Image.fromarray(np.rint(255 * grey).astype(np.uint8)).save(stream, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"

"""The case browser: slices of test cases with reference and prediction, drawn by `browser.js` from data inside the page."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np
from contourpy import contour_generator
from PIL import Image

from analysis.cases import CaseView, read_cases
from analysis.load import Run

SLICES = 24  # axial ones of a scan, evenly spaced
WINDOWS = {"soft tissue": (40, 400), "lung": (-600, 1500), "bone": (400, 1800)}  # level and width in HU
BUDGET = 8_000_000  # bytes of a page that cases may take
SCRIPT = (Path(__file__).parent / "browser.js").read_text(encoding="utf-8")
CSS = """
.cases { display: grid; grid-template-columns: minmax(0, 27em) auto minmax(15em, 1fr); gap: .8em 1.2em }
.cases .controls { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: .5em 1.4em; align-items: center; font-size: 13px }
.cases fieldset { border: 0; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .2em .8em } .cases select { max-width: 100% }
.cases figure { margin: 0; overflow: visible } .cases svg { display: block; width: 100%; background: #000 }
.cases .coronal svg { height: 26em; width: auto; max-width: 100%; cursor: pointer }
.cases input[type=range] { width: 100%; margin: .6em 0 0 } .cases output, .cases figcaption, .cases .legend { font-size: 12.5px; color: #555 }
.cases ul { list-style: none; margin: .3em 0; padding: 0; max-height: 24em; overflow-y: auto; columns: 15em }
.cases li { display: flex; justify-content: space-between; gap: .6em; break-inside: avoid; font-variant-numeric: tabular-nums; color: #222 }
.cases li:hover, .cases li:focus-within { background: #f2f6fa } .cases .swatch { display: inline-block; width: .8em; height: .8em; margin: 0 .4em }
.cases path { vector-effect: non-scaling-stroke; fill-rule: evenodd; stroke-width: 1.5 } .cases .reference { fill-opacity: .25; stroke-width: 1; stroke-dasharray: 2 3 }
.cases .predicted { fill: none } .cases svg.one path:not(.chosen) { opacity: .15 } .cases path.chosen { stroke-width: 2.5 }
.cases text { fill: #fff; font: 12px system-ui, sans-serif } .cases line { stroke: #fff; stroke-width: 1; stroke-dasharray: 4 3; vector-effect: non-scaling-stroke }
@media (max-width: 900px) { .cases { grid-template-columns: minmax(0, 1fr) } .cases ul { max-height: none } .cases .coronal svg { height: 18em } }
"""


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
            known |= _outlines(view, "reference", [name for name in view.annotated_names if name not in known])
            ranked.append((seen.get(view.dataset, 0), key, {"run": label} | _prediction(view)))
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
    return (f"<style>{CSS}</style><div class=cases><script type=application/json>{code}</script>"
            "<noscript>The browser of test cases needs JavaScript.</noscript></div>\n"
            f"{''.join(f'<p class=note>{note}</p>' for note in notes)}<script>{SCRIPT}</script>\n")


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
    planes = [*view.image_hu[slices_of(depth)], view.image_hu[::-1, height // 2]]
    images = [[_png(plane, level, span) for plane in planes] for level, span in WINDOWS.values()]
    return {"label": f"{view.dataset}, {view.case}", "size": [width, height, depth], "mm": [float(mm) for mm in view.spacing_mm[::-1]],
            "slices": slices_of(depth).tolist(), "images": images, "names": list(view.names), "reference": {}}


def _prediction(view: CaseView) -> dict:
    dsc = {name: round(view.score(name), 4) for name in view.names if not np.isnan(view.score(name))}
    return {"names": list(view.names), "annotated": list(view.annotated_names), "dsc": dsc,
            "predicted": _outlines(view, "predicted", view.names)}


def slices_of(depth: int) -> np.ndarray:
    """(n,) indices of the axial slices shown: the middles of at most SLICES slabs of equal thickness."""
    count = min(SLICES, depth)
    return ((np.arange(count) + 0.5) * depth / count).astype(int)


def _outlines(view: CaseView, kind: str, names: list[str]) -> dict[str, dict[int, str]]:
    """Structure -> number of the plane (axial slices, then the middle coronal one) -> path; planes without the structure have none."""
    found = {}
    for name in names:
        mask = view.mask(kind, name)
        planes = [*mask[slices_of(len(mask))], mask[::-1, mask.shape[1] // 2]]
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

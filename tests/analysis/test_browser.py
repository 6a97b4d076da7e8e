"""The browser of test cases: outlines and windows by hand, and its controls in a real browser."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from analysis import browser
from analysis.cases import read_case
from analysis.load import read_run
from analysis.page import page

SHAPE = (48, 20, 30)
LIVER, HEART = "Liver", "Heart"


def corners(path: str) -> list[list[tuple[int, int]]]:
    """The vertices of each closed part of a path."""
    return [np.cumsum(np.array(re.findall(r"-?\d+", part), dtype=int).reshape(-1, 2), axis=0).tolist() for part in path.split("z") if part]


def area(points: list) -> float:
    x, y = np.array(points, dtype=float).T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def block(*ranges: tuple[int, int], shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(*each) for each in ranges)] = True
    return mask


@pytest.fixture
def views(run_with, scores, write_view):
    """Two runs with the same scan of one dataset: Liver in all slices, Heart in the upper half and without reference."""
    masks = {LIVER: block((0, 48), (5, 10), (5, 12)), HEART: block((24, 48), (12, 16), (15, 20))}
    found = {}
    for name, shift, dsc in (("first", 0, 1.0), ("second", 3, 0.25)):
        folder = run_with(scores, name=name)
        predicted = {key: np.roll(mask, shift, axis=2) for key, mask in masks.items()}
        write_view(folder, "phantom_abdomen", "case_1", {"reference": {**masks, HEART: np.zeros(SHAPE, bool)}, "predicted": predicted},
                   {LIVER: dsc, HEART: np.nan}, unannotated=(HEART,))
        found[name] = folder
    return found


def data_of(html: str) -> dict:
    return json.loads(re.search("<script type=application/json>(.*?)</script>", html, re.DOTALL)[1])


def test_a_pixel_is_a_diamond_round_its_centre():
    mask = np.zeros((3, 4), dtype=bool)
    mask[1, 2] = True  # centre at x = 2.5, y = 1.5 pixels
    (points,) = corners(browser.outline(mask))
    assert sorted(map(tuple, points)) == [(4, 3), (5, 2), (5, 4), (6, 3)]


def test_outlines_of_a_block_at_the_border_and_with_a_hole():
    mask = np.zeros((6, 8), dtype=bool)
    mask[0:5, 0:6] = True
    (points,) = corners(browser.outline(mask))
    assert len(points) == 8 and area(points) == 4 * (30 - 4 / 8)  # half pixels: 30 pixels less four cut corners
    mask[2, 2] = False
    assert sorted(area(part) for part in corners(browser.outline(mask))) == [4 * 0.5, 4 * 29.5]


def test_slices_are_the_middles_of_equal_slabs_and_those_of_structures_between(run_with, scores, write_view):
    whole, between = np.ones((48, 4, 4), bool), block((10, 13), (0, 2), (0, 2), shape=(48, 4, 4))
    between[11] = False  # slices 10 and 12; every second, odd one is shown anyway
    between[12, 1, 1] = False
    masks = {LIVER: whole, HEART: between}
    view = read_case(write_view(run_with(scores), "d", "c", {"reference": masks, "predicted": masks}, dict.fromkeys(masks, 1.0)), "d", "c")
    assert browser.slices_of(view) == sorted([*range(1, 48, 2), 10])
    thin = replace(view, image_hu=view.image_hu[:3], packed={kind: bits[:, :6] for kind, bits in view.packed.items()})
    assert browser.slices_of(thin) == [0, 1, 2]


def test_windows_turn_hounsfield_units_into_grey(views):
    scan = data_of(browser.case_browser({"first": read_run(views["first"])}))["scans"][0]
    grey = [np.array(Image.open(BytesIO(base64.b64decode(planes[0].split(",")[1])))) for planes in scan["images"]]
    assert [len(planes) for planes in scan["images"]] == [25, 25, 25] and grey[0].shape == (20, 30)
    # air, then 40 HU: soft tissue 40 +- 200, lung -600 +- 750, bone 400 +- 900
    assert [int(image[0, 0]) for image in grey] == [0, round(255 * 350 / 1500), 0]
    assert [int(image[10, 15]) for image in grey] == [128, round(255 * 1390 / 1500), round(255 * 540 / 1800)]


def test_a_scan_of_two_runs_is_there_once_and_too_many_are_counted(views, run_with, scores):
    runs = {name: read_run(folder) for name, folder in views.items()}
    found = data_of(browser.case_browser(runs))
    assert len(found["scans"]) == 1 and [view["run"] for view in found["views"]] == ["first", "second"]
    assert found["views"][1]["dsc"] == {LIVER: 0.25} and found["views"][0]["annotated"] == [LIVER]
    assert list(found["scans"][0]["reference"]) == [LIVER] and list(found["views"][0]["predicted"]) == [LIVER, HEART]
    html = browser.case_browser(runs, {"second": "#run-second"}, budget=1)
    assert len(data_of(html)["views"]) == 1 and "1 of 2 views have no room in this page; see <a href='#run-second'>second</a>" in html
    bare = read_run(run_with(scores, name="bare"))
    assert "No views of test cases in the run folder of bare" in browser.case_browser({**runs, "bare": bare})
    assert browser.case_browser({"bare": bare}) == "<p class=note>No views of test cases in the run folder of bare.</p>"


SCRIPT = """
const root = document.querySelector('.cases'), axial = root.querySelector('.axial svg'), [scan, run] = root.querySelectorAll('select');
const slider = root.querySelector('input[type=range]'), radios = root.querySelectorAll('input[type=radio]');
const [reference, predicted] = root.querySelectorAll('fieldset input[type=checkbox]');
const paths = (kind) => axial.querySelectorAll('path.' + kind).length;
const legend = () => [...root.querySelectorAll('li')].map((line) => line.textContent.replaceAll(/\\s+/g, ' ').trim());
const change = (control, set, event = 'change') => { Object.assign(control, set); control.dispatchEvent(new Event(event)) };
const fills = (scope) => new Set([...scope.querySelectorAll('path')].map((path) => path.getAttribute('fill'))).size;
const seen = { colours: fills(axial), start: [paths('reference'), paths('predicted'), legend(), root.querySelector('output').value] };
const soft = axial.querySelector('image').getAttribute('href');
change(radios[2], { checked: true }); seen.bone = axial.querySelector('image').getAttribute('href') !== soft;
change(slider, { value: 0 }, 'input'); seen.low = [paths('reference'), paths('predicted'), legend(), slider.getAttribute('aria-valuetext')];
change(reference, { checked: false }); seen.withoutReference = [paths('reference'), paths('predicted')];
change(predicted, { checked: false }); seen.withoutBoth = [paths('reference'), paths('predicted')];
change(reference, { checked: true }); change(predicted, { checked: true });
const before = axial.querySelector('path.predicted').getAttribute('d');
change(run, { value: 'second' }); seen.other = [axial.querySelector('path.predicted').getAttribute('d') !== before, legend(), slider.value];
root.querySelector('li input').click(); seen.hidden = [paths('reference'), paths('predicted')];
seen.letters = [...axial.querySelectorAll('text')].map((text) => text.textContent).join('');
seen.aspect = axial.getAttribute('viewBox');
seen.beyond = document.documentElement.scrollWidth - document.documentElement.clientWidth;
return seen;
"""


@pytest.mark.parametrize("width", [1280, 420])
def test_controls(views, in_browser, width):
    html = page("Cases", browser.case_browser({name: read_run(folder) for name, folder in views.items()}))
    seen = in_browser(html, SCRIPT, width)
    assert seen["colours"] == 2
    assert seen["start"] == [1, 2, ["Liver1.00", "Heartno reference"], "slice 13 of 24, 153 of 288 mm above the lowest"]
    assert seen["bone"] is True
    assert seen["low"] == [1, 1, ["Liver1.00"], "slice 1 of 24, 9 of 288 mm above the lowest"]
    assert seen["withoutReference"] == [0, 1] and seen["withoutBoth"] == [0, 0]
    assert seen["other"] == [True, ["Liver0.25"], "0"] and seen["hidden"] == [0, 0]
    assert seen["letters"] == "RLAP" and seen["aspect"] == "0 0 150 100" and seen["beyond"] == 0

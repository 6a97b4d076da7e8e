"""Figure 1: the paper's fingerprints, and ours from manifest, scores and ranges."""

import json

import pytest
import yaml

from analysis.exhibits import figure1
from analysis.exhibits.fingerprints import of_groups, of_paper, of_run
from analysis.groups import read_groups
from analysis.load import read_run
from analysis.render import DASH
from clnet.errors import DataError

CHEST = {"name": "phantom_chest", "training_cases": 8, "labelled_cases": 8, "test_cases": 4,
         "labels": ["Eso", "Heart", "Trachea", "A_Aorta"]}


@pytest.fixture
def known(run_with, scores):
    """A run whose folder knows the chest's cases and the ranges of the oesophagus and the heart."""
    def make(name="run", zero=2):
        folder = run_with(scores, name=name)
        (folder / "manifest.json").write_text(json.dumps({"datasets": [CHEST]}))
        chest = {"name": "phantom_chest", "body_group": "chest", "paper_slug": "SegTHOR"}
        (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"name": "phantom", "datasets": {"chest": chest}}}))
        (folder / "model").mkdir()
        extents = {"Eso": {"bottoms": [0.4, 0.4], "tops": [0.8, 0.8]}, "Heart": {"bottoms": [0.5, 0.6], "tops": [0.7, 1.3]}}
        (folder / "model" / "ranges.json").write_text(json.dumps({"limits": [0.02, 0.9], "extents": extents}))
        (folder / "model" / "bodypart.json").write_text(json.dumps({"scans_with_zero": zero, "scans_with_one": 1}))
        return folder

    return make


def test_the_paper_has_36_datasets_and_7_external_ones():
    datasets = of_paper()
    assert len(datasets) == 43 and sum(entry.training or 0 for entry in datasets) == 11182
    assert {entry.body_group for entry in datasets} == {"whole-body", "head-neck", "chest", "abdomen"}
    third = datasets[2]
    assert (third.identifier, third.training, third.test, third.images, third.labels) == ("P3", 78, 20, (0.06, 0.79), (0.38, 0.82))
    assert figure1.paper_table().rows[2][5] == "12 (14 listed)"


def test_ours_come_from_manifest_and_ranges(known):
    found = {entry.name: entry for entry in of_run(read_run(known()))}
    chest = found["phantom_chest"]
    assert (chest.training, chest.test, chest.targets, chest.slug, chest.anchored) == (8, 4, 4, "SegTHOR", True)
    assert chest.labels == pytest.approx((0.4, 1.0))  # the heart's 95th percentile, 1.27, is beyond the scale
    lesion = found["phantom_lesion"]
    assert (lesion.training, lesion.test, lesion.targets, lesion.labels) == (None, 4, 1, None)


def test_table_shows_the_difference_to_the_papers_ranges(known):
    table = figure1.our_table(of_groups(read_groups([known()])))
    row = next(row for row in table.rows if row[0] == "phantom_chest")
    assert row[3:] == ("8", "4", "4", "0.40 to 1.00", "SegTHOR", "32", "8", "4", "0.44 to 0.76", "-0.04, 0.24")
    assert next(row for row in table.rows if row[0] == "phantom_lesion")[6:] == (DASH,) * 7
    assert table.data["training_cases"].isna().sum() == 4


def test_a_scale_with_both_ends_comes_first(known):
    loose, anchored = known("loose", zero=0), known("anchored")
    by_name = {entry.name: entry for entry in of_groups(read_groups([loose, anchored]))}
    assert by_name["phantom_chest"].source == "anchored" and by_name["phantom_lesion"].source == "loose"
    alone = figure1.our_table(of_groups(read_groups([loose])))
    assert "phantom_chest" in alone.notes[-1] and "without scans of both ends" in alone.notes[-1]


def test_figures_are_legible_and_say_what_is_missing(known, overlaps):
    made = figure1.make(read_groups([known()]))
    assert [picture.name for picture in made.pictures] == ["figure1", "figure1_ours"]
    assert all(overlaps(picture.figure) == [] for picture in made.pictures)
    labels = [label.get_text() for label in made.pictures[0].figure.axes[0].get_yticklabels()]
    assert len(labels) == 43 + 5 and labels[:2] == ["Whole body", "Body_LinkingMed_OAR  P7"]
    assert any("phantom_lesion" in sentence and "training cases" in sentence for sentence in made.missing)


def test_without_runs_the_paper_stands_alone():
    made = figure1.make([])
    assert len(made.tables) == len(made.pictures) == 1 and made.missing[0].startswith("None of our runs")


def test_a_damaged_record_is_named(known):
    folder = known()
    (folder / "model" / "ranges.json").write_text("{")
    with pytest.raises(DataError, match=r"ranges.json"):
        of_run(read_run(folder))

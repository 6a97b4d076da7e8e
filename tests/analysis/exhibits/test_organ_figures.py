"""Figures 3, S1 and S2: the paper's values, ours beside them, and no text upon another."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.exhibits import figure3, organ_figures
from analysis.exhibits.figure3 import our_effect, paper_effect, partner
from analysis.exhibits.organ_figures import our_scores, paper_scores
from analysis.pruning import is_pruned

FIGURE_3, S1, S2 = *figure3.EXHIBITS, *organ_figures.EXHIBITS
RATES = {"Liver": 99.0, "Kidney_Lesion": 90.0}


@pytest.mark.parametrize("exhibit", (FIGURE_3, S1, S2), ids=lambda exhibit: exhibit.number)
def test_the_papers_figures_are_drawn_without_runs(exhibit, overlaps):
    made = exhibit.make(())
    assert made.missing and made.tables[0].notes
    assert [overlaps(picture.figure) for picture in made.pictures] == [[]] * len(made.pictures)
    names = {text.get_text() for picture in made.pictures for axis in picture.figure.axes
             for text in (axis.get_yticklabels() if exhibit is S1 else axis.get_xticklabels())}
    expected = paper_effect()["decoder"] if exhibit is FIGURE_3 else paper_scores().index
    assert len(expected) == (101 if exhibit is FIGURE_3 else 235)
    assert {name.removesuffix(" *") for name in names} >= set(expected)
    assert sum(name.endswith(" *") for name in names) == (15 if exhibit is FIGURE_3 else 26)


def test_our_marks_stand_beside_the_papers(organ_runs, overlaps):
    groups = [organ_runs("pruned", rates=RATES), organ_runs("whole")]
    assert our_scores(groups)["pruned"].to_dict() == pytest.approx(
        {"Liver": 70, "Kidney_L": 80, "BrainStem": 30, "Heart": 90, "Kidney_Lesion": 30})  # liver: 0.9 0.7 and 0.5 0.7
    for exhibit, dsc in ((S1, 0), (S2, 1)):
        made = exhibit.make(groups)
        for picture in made.pictures:
            assert not overlaps(picture.figure) and "synthetic phantom" in picture.caption
        drawn = np.concatenate([np.ma.filled(marks.get_offsets(), np.nan)[:, dsc] for picture in made.pictures
                                for axis in picture.figure.axes for marks in axis.collections])
        assert np.isclose(drawn, 30).sum() == 2 * len(groups)  # brain stem and kidney lesion; the paper has nothing so low
        assert "pruned has 5 of the 235 structures." in made.missing


def test_runs_over_36_datasets_come_first_and_the_fourth_is_left_out(organ_runs):
    groups = [organ_runs(name, rates=RATES) for name in "abc"] + [organ_runs("wide", rates=RATES, extra={("AMOS", "Spleen"): (0.9, 0.9)})]
    assert list(our_scores(groups)) == ["wide", "a", "b", "c"]
    assert any(sentence.startswith("c is left out") for sentence in S1.make(groups).missing)


def test_pruning_is_judged_on_test_cases_against_the_same_seed(organ_runs):
    pruned = organ_runs("pruned", rates=RATES, plus=(0.0, 0.1))
    whole = organ_runs("whole", plus=(0.02, 0.05, 0.3))
    assert is_pruned(pruned.first) and partner(pruned, [pruned, whole]) is whole
    effect = our_effect(pruned, whole).set_index("decoder")
    assert effect["difference_points"].to_dict() == pytest.approx(dict.fromkeys(effect.index, 100 * (-0.02 + 0.05) / 2))
    assert effect["rate_percent"]["Liver"] == 99 and effect["rate_percent"]["Heart"] == 0


def test_without_an_unpruned_run_of_the_same_setting_it_is_judged_on_validation_cases(organ_runs):
    pruned, other = organ_runs("pruned", rates=RATES), organ_runs("other", bpr={"sigma": 2})
    made = FIGURE_3.make([pruned, other])
    assert partner(pruned, [other]) is None and "validation cases" in made.missing[0]
    header, rows = made.tables[0].header, {row[0]: row for row in made.tables[0].rows}
    assert header[2:] == ("paper T", "paper DSC diff.", "pruned T", "pruned DSC diff.", "pruned T, less the paper's",
                          "pruned DSC diff., less the paper's")
    assert rows["Liver"][2:] == ("99.5", "0.00", "99.0", "-1.00", "-0.5", "-1.00")
    assert rows["LAA"][3] == "-1.60 *"
    assert rows["mean over decoders"][2:4] == ("97.5 (n=101)", "0.01 (n=86)")
    assert len(made.pictures) == 2 and "synthetic phantom" in made.pictures[1].caption

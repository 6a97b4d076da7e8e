"""Pruning: tables, differences within and between runs worked by hand, and the figure."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from analysis import figures, style
from analysis.decoders import decoder_table, footprint_table
from analysis.load import Run, read_run
from analysis.pruning import EFFECT_COLUMNS, effect_between, effect_in_words, effect_within, is_pruned, pruning_table, sizes
from analysis.pruning_figure import CROSS, GAIN, LOSS, pruning_effect

NAN = math.nan
RUN = {"experiment": "e", "order": "o", "method": "m", "seed": 0, "trained_on": "A"}


def make_run(dsc: dict[tuple[str, str], float], stages: tuple[str, ...] = ("premerge",)) -> Run:
    """One step; decoders P (structures a, b; 96 %), Q (c; 99 %) and R (d; never scored) with validation DSC before and after."""
    rows = [{**RUN, "step": 0, "dataset": dataset, "case": "1", "structure": structure, "stage": stage, "asd_mm": NAN, "hd95_mm": NAN,
             "dsc": value - 0.5 * (stage == "merged"), "nsd": NAN, "status": "ok"}
            for (dataset, structure), value in dsc.items() for stage in stages]
    decoders = pd.DataFrame([(0, "P", "Bone", "a b", 96.0, 0.90, 0.91, 0.04), (0, "Q", "Chest", "c", 99.0, 0.80, 0.795, 0.01),
                             (0, "R", "Mine", "d", 90.0, NAN, NAN, 0.10)],
                            columns=["step", "decoder", "group", "structures", "pruning_rate_percent", "validation_dsc_before",
                                     "validation_dsc_after", "nominal_share"]).assign(updated=True)
    footprint = pd.DataFrame([{"step": 0, "parameters": 2.5e6, "nonzero_parameters": 1.5e6, "nominal_share_sum": 0.15,
                               "nominal_parameters_m": 15.65 * 1.15, "decoder_multiply_adds_m": 1200.0, "decoder_seconds": 0.25}])
    return Run(Path("run"), pd.DataFrame(rows), decoders, footprint, {})


PRUNED = {("A", "a"): 0.80, ("A", "b"): 0.70, ("B", "a"): 0.60, ("A", "c"): 0.50, ("B", "c"): NAN}
FULL = {("A", "a"): 0.79, ("A", "b"): 0.68, ("B", "a"): 0.60, ("A", "c"): 0.52, ("B", "c"): 0.90}


def test_effect_within_a_run_is_on_validation_cases():
    effect = effect_within(make_run(PRUNED))
    assert list(effect.columns) == EFFECT_COLUMNS
    np.testing.assert_allclose(effect["difference_points"], [1.0, -0.5, NAN])


def test_effect_between_runs_is_over_the_pairs_that_both_have():
    effect = effect_between(make_run(PRUNED), make_run(FULL)).set_index("decoder")
    assert effect["difference_points"].to_dict() == pytest.approx({"P": 100 * (0.01 + 0.02 + 0.0) / 3, "Q": -2.0, "R": NAN}, nan_ok=True)
    assert effect["rate_percent"].to_dict() == {"P": 96, "Q": 99, "R": 90} and effect["group"]["R"] == "Mine"


def test_runs_are_compared_in_a_stage_that_both_have():
    both = ("premerge", "merged")
    with_and_without = effect_between(make_run(PRUNED, both), make_run(FULL)).set_index("decoder")
    assert with_and_without.loc["P", "difference_points"] == pytest.approx(1.0)  # merged against premerge would be 50 points lower
    assert effect_between(make_run(PRUNED, both), make_run(FULL, both)).loc[1, "difference_points"] == pytest.approx(-2.0)


def test_effect_in_words():
    effect = pd.DataFrame({"difference_points": [0.1, 0.3, -0.5, 0.0, NAN]})
    assert effect_in_words(effect) == ("2 of 4 decoders gained (0.20 on average), 1 of 4 decoders lost (-0.50 on average), "
                                       "1 did neither; 1 without a difference")


def test_sizes_and_table_of_a_pruned_run():
    run = make_run(PRUNED)
    assert is_pruned(run)
    assert sizes(run) == pytest.approx({"decoders": 3, "mean_pruning_rate_percent": 95.0, "nominal_share_sum": 0.15,
                                        "parameters_m": 2.5, "nonzero_parameters_m": 1.5, "nominal_parameters_m": 17.9975,
                                        "decoder_gmac": 1.2, "decoder_ms": 250.0})
    assert pruning_table(run).rows == (("S0", "3", "95.0", "90.0", "2", "2", "0.850 (n=2)", "0.853", "0.150", "18.00", "2.50", "1.50"),)


def test_every_step_has_a_row(merged_folder):
    run = read_run(merged_folder)
    table = pruning_table(run)
    assert [row[:2] for row in table.rows] == [("S0", "38"), ("S1", "48"), ("S2", "48"), ("S3", "48"), ("S4", "49")]
    assert table.rows[4][4] == "33"  # of 49 rates 99, 96, 88 in turn two thirds are above 90
    shares = 17 * 0.01 + 16 * 0.04 + 16 * 0.12
    assert table.rows[4][8:10] == (f"{shares:.3f}", f"{15.65 * (1 + shares):.2f}")
    assert footprint_table(run).rows[4][4:6] == table.rows[4][8:10]
    assert decoder_table(run).rows[-1][5] == f"mean {(17 * 99 + 16 * 96 + 16 * 88) / 49:.1f}"


def test_an_unpruned_run_has_no_table(run_folder, run_with, scores, decoders):
    assert pruning_table(read_run(run_folder)) is None
    assert pruning_table(read_run(run_with(scores, decoders.iloc[:0], name="whole"))) is None
    nothing = sizes(read_run(run_with(scores, decoders.iloc[:0], name="whole")))
    assert nothing["decoders"] == 0 and math.isnan(nothing["mean_pruning_rate_percent"]) and math.isnan(nothing["nominal_share_sum"])


def make_effect(counts: dict[str, int], seed: int = 0) -> pd.DataFrame:
    """So many decoders of each group, with names as long as the longest of the paper."""
    random = np.random.default_rng(seed)
    rows = [(f"{group[:4]}_Brachiocephalic{index}", group, random.choice([90.0, 96.0, 99.7]), random.normal(0, 0.1))
            for group, count in counts.items() for index in range(count)]
    return pd.DataFrame(rows, columns=EFFECT_COLUMNS)


PAPER = {"Chest": 31, "Head & Neck": 28, "Abdomen": 19, "Bone": 11, "LNS": 2, "Lesion": 9, "Body": 1}
PHANTOM = {"Abdomen": 13, "Bone": 8, "Head & Neck": 6, "Chest": 5, "Lesion": 1, "Body": 1, "Mine": 1}


SINGLES = {"Head & Neck": 1, "Chest": 1, "Abdomen": 1, "Bone": 25, "LNS": 1, "Lesion": 1, "Body": 1}


@pytest.mark.parametrize(("counts", "panels"), [(PAPER, 2), (PHANTOM, 1), (SINGLES, 1), ({"LNS": 1, "Body": 1}, 1), ({"Bone": 130}, 3)])
def test_no_text_overlaps(counts, panels, overlaps):
    with style.applied():
        figure = pruning_effect(make_effect(counts))
        assert overlaps(figure) == []
    assert len(figure.axes) == 2 * panels
    labels = [label.get_text() for axis in figure.axes for label in axis.get_xticklabels() if "_" in label.get_text()]
    assert len(set(labels)) == sum(counts.values())


def test_groups_come_in_the_papers_order():
    texts = [text.get_text() for text in pruning_effect(make_effect(PHANTOM)).axes[0].texts]
    assert [text for text in texts if text in PHANTOM] == ["Head & Neck", "Chest", "Abdomen", "Bone", "Lesion", "Body", "Mine"]


def test_bars_are_gains_and_losses_and_crosses_are_rates():
    effect = pd.DataFrame([("p", "Bone", 96.0, 0.2), ("q", "Bone", 99.0, -0.1), ("r", "Bone", 88.0, NAN)], columns=EFFECT_COLUMNS)
    left, right = pruning_effect(effect).axes
    assert [(bar.get_height(), to_hex(bar.get_facecolor()).upper()) for bar in left.patches[:2]] == [(0.2, GAIN), (-0.1, LOSS)]
    assert left.patches[2].get_height() == 0
    (crosses,) = right.get_lines()
    assert list(crosses.get_ydata()) == [96, 99, 88] and crosses.get_marker() == "x" and crosses.get_color() == CROSS
    assert list(crosses.get_xdata()) == [bar.get_x() + bar.get_width() / 2 for bar in left.patches]
    bottom, top = right.get_ylim()
    assert 80 > bottom and top > 100 and min(right.transData.transform([(0, 88)])[:, 1]) > max(left.transData.transform([(0, 0.2)])[:, 1])


def test_a_far_outlier_is_cut_and_bears_its_value(tmp_path):
    effect = make_effect({"Bone": 10}).assign(difference_points=[0.1, -0.1] * 4 + [-7.5, 0.0])
    figure = pruning_effect(effect)
    left = figure.axes[0]
    assert "-7.5" in [text.get_text() for text in left.texts]
    assert left.patches[8].get_height() == left.get_ylim()[0] > -1
    assert figures.save(figure, tmp_path, "pruning").stat().st_size > 1000


def test_nothing_known_still_draws(tmp_path):
    effect = make_effect({"Bone": 2}).assign(difference_points=NAN, rate_percent=NAN)
    assert figures.save(pruning_effect(effect), tmp_path, "pruning").stat().st_size > 1000

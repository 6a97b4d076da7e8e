"""SAT's three averages of two datasets, by hand."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from analysis.statistics.averages import UNKNOWN, WHOLE_BODY, by_class, by_region, by_set, region_of
from clnet.anatomy import registry


@pytest.fixture
def two_sets() -> pd.DataFrame:
    """Liver in a set of four cases (0.8) and in one of a single case (0.4), spleen (0.6) and brain (0.9) in the first alone."""
    rows = [("a", f"{case}", name, dsc) for case in range(4) for name, dsc in (("Liver", 0.8), ("Spleen", 0.6), ("Brain", 0.9))]
    table = pd.DataFrame([*rows, ("b", "0", "Liver", 0.4)], columns=["dataset", "case", "structure", "dsc"])
    table = table.assign(step=1, trained_on="b", stage="premerge", asd_mm=1.0, hd95_mm=1.0, nsd=table["dsc"] / 2, status="ok")
    return pd.concat([table[table["dataset"] == "a"].assign(step=0, trained_on="a", dsc=0.0), table], ignore_index=True)


def test_a_class_is_averaged_over_datasets_not_cases(two_sets):
    classes = by_class(two_sets)
    assert classes.loc["Liver", "dsc"] == pytest.approx((0.8 + 0.4) / 2) and classes.loc["Liver", "datasets"] == 2
    assert classes.loc["Liver", "nsd"] == pytest.approx(0.3)
    assert classes.loc["Spleen", "dsc"] == pytest.approx(0.6) and classes.loc["Spleen", "datasets"] == 1


def test_a_region_is_averaged_over_classes(two_sets):
    regions = by_region(by_class(two_sets))
    assert regions.loc["Abdomen", "dsc"] == pytest.approx((0.6 + 0.6) / 2) and regions.loc["Abdomen", "classes"] == 2
    assert regions.loc["Head & Neck", "dsc"] == pytest.approx(0.9)


def test_a_dataset_is_averaged_over_its_classes(two_sets):
    sets = by_set(two_sets)
    assert sets.loc["a", "dsc"] == pytest.approx((0.8 + 0.6 + 0.9) / 3) and sets.loc["a", "classes"] == 3
    assert sets.loc["b", "dsc"] == pytest.approx(0.4)


def test_regions_of_unions_lesions_and_names_of_ones_own():
    assert region_of("Kidney_Lesion") == "Lesion" and region_of("A_Aorta") == "Chest" and region_of("TargetVolume") == UNKNOWN


def test_a_class_of_several_regions_is_of_the_whole_body(monkeypatch):
    anatomy = registry.load()
    both = replace(anatomy, aliases={**anatomy.aliases, "Both": ("Liver", "Brain"), "Dropped": ()})
    monkeypatch.setattr(registry, "load", lambda: both)
    assert region_of("Both") == WHOLE_BODY and region_of("Dropped") == UNKNOWN and region_of("Liver") == "Abdomen"

"""The paper's printed numbers: units, orders, and nothing lost between its tables and the one file that is read."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis.published import MEASURES, ORDERS, RESULTS, all_results, methods, results, value


def test_all_tables_are_in_it_cell_by_cell():
    single = {path.stem.removeprefix("table"): len(pd.read_csv(path)) for path in RESULTS.glob("table*.csv")}
    assert all_results()["table"].value_counts().to_dict() == single and len(single) == 47
    assert all_results()["value"].notna().all() and all_results()["measure"].notna().all()


@pytest.mark.parametrize(("table", "conditions", "expected"), [
    ("2", {"dataset": "KiTS21", "method": "CLNet_U5", "measure": "dsc"}, 0.872),
    ("2", {"dataset": "five-public", "method": "CLNet_U5", "measure": "asd_mm"}, 0.77),
    ("S6", {"dataset": "five-public", "method": "CLNet_C5", "measure": "nominal_parameters_m", "order": "O3"}, 34.2),
    ("S8", {"method": "TotalSegmentator | Train from scratch | Bone label set train | —", "measure": "nominal_share_sum"}, 0.588),
    ("3", {"structure": "Liver", "measure": "dsc_2d"}, 0.966),
])
def test_values_by_hand(table, conditions, expected):
    assert value(table, **conditions) == pytest.approx(expected)


def test_what_is_not_printed_is_undefined_and_what_is_not_one_value_is_refused():
    assert math.isnan(value("2", dataset="StructSeg19", method="VISTA3D", measure="dsc")) and results("S99").empty
    with pytest.raises(ValueError, match="5 values in Table S6"):
        value("S6", dataset="five-public", method="CLNet_C5", measure="dsc")


def test_order_is_that_of_the_numbers_not_of_the_column():
    columns = results("S45", structure="Mean", method="CLNet_C5", measure="dsc").set_index("order_printed")
    assert columns["order"].to_dict() == {"O1": "O1", "O2": "O3", "O3": "O4", "O4": "O2"}
    for order in ORDERS:
        row = columns[columns["order"] == order]
        assert row["value"].item() == value("S6", dataset="StructSeg19", method="CLNet_C5", measure="dsc", order=order)


def test_methods_as_the_table_lists_them():
    assert methods("2") == ["nnUNet_E5", "MultiTalent", "SAT-Pro", "VISTA3D", "CLNet_U5"]
    assert set(MEASURES) == {"DSC", "DSC2D", "ASD", "SumT", "Param"}

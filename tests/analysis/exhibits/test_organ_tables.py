"""Tables S12 to S48: the paper's numbers under the right order, ours beside them, differences and means worked by hand."""

from __future__ import annotations

import pytest

from analysis.exhibits.doubtful import copied, doubts
from analysis.exhibits.organ_rows import printed_rows
from analysis.exhibits.organ_tables import EXHIBITS
from analysis.published import MEAN, results
from analysis.render import DASH

TABLES = {exhibit.number.removeprefix("Table "): exhibit for exhibit in EXHIBITS}
RATES = {"Liver": 99.0, "Kidney_L": 95.0, "Kidney_Lesion": 90.0}
PM = "\N{PLUS-MINUS SIGN}"


def rows_of(number: str, *groups) -> dict[tuple[str, str, str], tuple[str, ...]]:
    """(structure, method, our run) -> the other cells."""
    found, structure = {}, ""
    for name, method, run, *cells in TABLES[number].make(groups).tables[0].rows:
        structure = name or structure
        found[structure, method, run] = tuple(cells)
    return found


def test_every_table_is_there_once():
    assert list(TABLES) == [f"S{number}" for number in range(12, 49)]


@pytest.mark.parametrize("number", TABLES)
def test_without_runs_all_the_papers_numbers_stand_alone(number):
    assert printed_rows(number).index.is_unique
    made = TABLES[number].make(())
    (table,) = made.tables
    assert made.missing and not any("nan" in cell for row in table.rows for cell in row)
    for column, measure in ((3, "dsc"), (7, "asd_mm")):
        printed = results(number, measure=measure)
        assert sum(row[column] != DASH for row in table.rows) == printed["value"].notna().sum()
    assert {cell for row in table.rows for cell in (row[2], *row[4:7], *row[8:11], *row[12:])} == {DASH}


def test_results_stand_under_the_order_that_they_belong_to():
    rows = {method: cells[0] for (_, method, _), cells in rows_of("S48").items()}
    assert list(rows) == ["nnU-Net E5", "CL-Net C5, O1", "CL-Net C5, O2", "CL-Net C5, O3", "CL-Net C5, O4"]
    assert rows["CL-Net C5, O3"] == f"87.1 {PM} 9.3"  # printed under Order 2
    assert rows["CL-Net C5, O2"] == rows["CL-Net C5, O1"]


def test_ours_beside_the_papers(organ_runs):
    pruned, whole = organ_runs("pruned", rates=RATES), organ_runs("whole")
    rows = rows_of("S48", pruned, whole)
    # DSC 0.4 and 0.2: 30 +- 14.1; ASD 1.6 and 1.8 mm: 1.7 +- 0.14
    assert rows["Kidney_Lesion", "CL-Net C5, O1", "pruned"] == (f"86.9 {PM} 9.4", f"30.0 {PM} 14.1", "-56.9", "2", f"1.32 {PM} 1.06",
                                                                f"1.70 {PM} 0.14", "+0.38", "2", "98.0", "90.0", "0", "0")
    assert rows["Kidney_Lesion", "CL-Net C5, unpruned, O1", "whole"] == (
        DASH, f"30.0 {PM} 14.1", DASH, "2", DASH, f"1.70 {PM} 0.14", DASH, "2", DASH, "0.0", "0", "0")
    assert rows["Kidney_Lesion", "CL-Net C5, O4", DASH][1] == DASH
    assert "synthetic phantom" in TABLES["S48"].make([pruned]).tables[0].notes[-1]


def test_a_missed_case_counts_in_the_dsc_alone(organ_runs):
    cells = rows_of("S45", organ_runs(rates=RATES))["BrainStem", "CL-Net C5, O1", "run"]
    assert cells[1].startswith("30.0") and cells[3] == "2" and cells[5] == "1.40" and cells[7] == "1" and cells[10] == "1"


def test_means_of_what_both_have(organ_runs):
    made = TABLES["S40"].make([organ_runs(rates=RATES)])
    (table,) = made.tables
    printed = printed_rows("S40").xs(("CLNet_C5", "O1"), level=("method", "order"))["dsc"].droplevel("dataset")
    both = 100 * (printed["Liver"] + printed["Kidney_L"]) / 2
    mean, partial = (row for index, row in enumerate(table.rows) if row[1] == "CL-Net C5, O1" and index in table.summary_rows)
    assert mean[3].startswith(f"{100 * printed[MEAN]:.1f}") and mean[4:7] == (DASH, DASH, DASH)
    assert partial[0] == f"{MEAN} of 2 of 22"
    assert partial[3:7] == (f"{both:.1f}", "80.0", f"{80 - both:+.1f}", "2") and partial[12] == "97.0"  # T 99 and 95
    assert "run has scores for 2 of the 22 structures." in made.missing


def test_a_run_stands_only_in_its_own_tables(organ_runs):
    run = organ_runs(rates=RATES)
    assert {key[2] for number in ("S12", "S18", "S29", "S31") for key in rows_of(number, run)} == {DASH}
    universal = organ_runs("universal", rates=RATES, universal=True)
    assert rows_of("S18", universal)["Liver", "CL-Net U5", "universal"][1] == f"80.0 {PM} 14.1"
    assert not any(run == "universal" for _, _, run in rows_of("S40", universal))


def test_over_more_datasets_a_structure_is_the_mean_over_all_cases(organ_runs):
    more = {("AMOS", "Liver"): (1.0, 1.0), ("AMOS", "Spleen"): (0.9, 0.9)}
    cells = rows_of("S14", organ_runs(rates=RATES, extra=more))["Liver", "CL-Net C36", "run"]
    assert cells[1].startswith("80.0") and cells[3] == "6"  # 0.9 0.7, 0.5 0.7, 1.0 1.0


def test_external_sets_count_only_where_they_were_not_learned(organ_runs):
    btcv = {("BTCV", "Liver"): (0.7, 0.9)}
    assert rows_of("S29", organ_runs("apart", rates=RATES, extra=btcv, untrained=("BTCV",)))["Liver", "CL-Net C5", "apart"][:2] == (
        DASH, f"80.0 {PM} 14.1")
    assert rows_of("S29", organ_runs("learned", rates=RATES, extra=btcv))["Liver", "CL-Net C36", "learned"][1] == DASH


def test_seeds_are_pooled(organ_runs):
    cells = rows_of("S48", organ_runs(rates=RATES, plus=(0.0, 0.1)))["Kidney_Lesion", "CL-Net C5, O1", "run"]
    assert cells[1].startswith("35.0") and cells[3] == "4" and cells[9] == "90.0"


def test_doubtful_cells_are_marked():
    marked = [key[0] for number in ("S12", "S13", "S14") for key, cells in rows_of(number).items()
              if key[1] == "CL-Net U36" and "[a" in cells[0]]
    assert set(marked) == copied() and len(marked) == 26
    assert rows_of("S12")["Bone_Skull", "CL-Net U36", DASH][0] == f"82.5 {PM} 35.4 [ab]"
    assert rows_of("S42")["Bone_Skull", "nnU-Net E5", DASH][0] == f"93.1 {PM} 35.4"


@pytest.mark.parametrize("doubt", [doubt for doubt in doubts() if doubt.mark], ids=lambda doubt: doubt.mark)
def test_no_doubt_is_without_a_cell(doubt):
    for table in doubt.tables:
        assert any(doubt.touches(table, method, structure) for _, structure, method, _ in printed_rows(table).index), table
        assert any(note.startswith(f"[{doubt.mark}]") for note in TABLES[table].make(()).tables[0].notes)


def test_means_that_do_not_follow_from_the_rows_are_named():
    assert any("CL-Net U36 ASD (mm) 0.98 (1.43)" in note for note in TABLES["S33"].make(()).tables[0].notes)
    assert not any("rows do not give" in note for note in TABLES["S21"].make(()).tables[0].notes)

"""The report folder, the terminal summary, the figures and the command line."""

from __future__ import annotations

import re
import subprocess
import sys

import matplotlib as mpl
import pandas as pd
import pytest

from analysis import figures, report, terminal
from analysis.__main__ import main
from analysis.aggregate import final_mean

mpl.use("Agg")


def test_report_is_complete_and_self_contained(run_folder):
    built = report.build(run_folder)
    assert built == run_folder / "report"
    page = (built / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert not re.search(r"src=[\"']?(?![\"']|data:)", page.split("<script")[0])
    links = re.findall(r"href='([^'#]*)'", page)
    assert "../manifest.json" in links and all((built / link).exists() for link in links)
    assert "Networks that stayed frozen" in page and "No views of test cases in the run folder of run" in page
    assert ">nan<" not in page.lower() and "Chaudhry et al. 2018" in page and "abc&lt;def&gt;" in page
    for name in ("final", "continual", "decoders", "dsc_phantom_chest", "asd_phantom_chest", "status", "footprint"):
        assert all((built / "tables" / f"{name}.{ending}").stat().st_size for ending in ("md", "tex", "csv"))
    for name in ("forgetting_curves", "structure_scores"):
        assert (built / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (built / "figures" / f"{name}.svg").read_text()


def test_report_and_summary_of_a_run_with_merging_and_pruning(merged_folder, capsys):
    assert main([str(merged_folder)]) == 0
    page, printed = (merged_folder / "report" / "report.html").read_text(), capsys.readouterr().out
    assert page.count("data:image/png;base64,") == 3 and ">nan<" not in page.lower() and page.count(", merged") > 10
    assert "validation DSC after pruning minus before" in page and "class=warning" not in page
    for name in ("merging", "merging_voxels", "pruning"):
        assert all((merged_folder / "report" / "tables" / f"{name}.{ending}").stat().st_size for ending in ("md", "tex", "csv"))
    every = pd.read_csv(merged_folder / "report" / "tables" / "structures.csv")
    assert every.groupby("stage").size().to_dict() == {"merged": len(every) / 2, "premerge": len(every) / 2}
    assert every.loc[every["stage"] == "merged", "dsc"].mean() < every.loc[every["stage"] == "premerge", "dsc"].mean()
    assert max(map(len, printed.splitlines())) <= 120 and "nan" not in re.split(r"\W+", printed.lower())
    for title in ("Before and after merging, S4", "Voxels before and after merging, S4", "Pruning", "average accuracy, premerge"):
        assert f"\n{title}" in printed
    assert "too wide" not in printed and printed.splitlines()[-2].endswith("; after merging")


def test_a_new_report_replaces_the_old_and_a_failed_one_does_not(run_folder, monkeypatch):
    (run_folder / "report").mkdir()
    (run_folder / "report" / "stale.txt").touch()
    with monkeypatch.context() as broken:
        broken.setattr(report.figures, "save", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            report.build(run_folder)
    assert (run_folder / "report" / "stale.txt").exists()
    monkeypatch.setattr(report, "_fill", lambda run, folder: None)
    report.build(run_folder)
    assert sorted(path.name for path in (run_folder / "report").iterdir()) == ["figures", "tables"]
    assert sorted(path.name for path in run_folder.iterdir()) == ["decoders.csv", "footprint.csv", "manifest.json", "report", "scores.csv"]


def test_summary_fits_a_terminal(run_folder, scores, capsys):
    terminal.print_summary(run_folder)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 120
    assert "nan" not in re.split(r"\W+", printed.lower())
    assert printed.splitlines()[-1].startswith(f"final mean DSC {final_mean(scores)['dsc']:.3f} after S4: ")
    assert printed.count("learned in S") == 5
    assert "0.63 (n=4, missed 1)" in printed or re.search(r"\d n\d m1", printed)


def test_missing_rows_are_on_page_and_terminal(run_with, scores, capsys):
    folder = run_with(scores.drop(index=scores.index[7]))
    assert main([str(folder)]) == 0
    assert "1 of " in capsys.readouterr().out.split("Incomplete")[1]
    assert "class=warning" in (folder / "report" / "report.html").read_text()


def test_forgetting_curves_start_when_a_dataset_is_learned(scores_of):
    figure = figures.forgetting_curves({"CL-Net": scores_of(), "MiB": scores_of(0.4)})
    panels = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in panels] == ["whole body", "head neck", "abdomen", "chest", "lesion"]
    for learned, axis in enumerate(panels):
        frozen, forgets = axis.get_lines()
        assert [round(x) for x in frozen.get_xdata()] == list(range(learned, 5))
        assert frozen.get_ydata().max() - frozen.get_ydata().min() < 1e-9
        assert (frozen.get_color(), frozen.get_marker(), frozen.get_linestyle()) != (forgets.get_color(), forgets.get_marker(), "-")
    assert panels[0].get_lines()[1].get_ydata()[-1] < 20


def test_no_text_overlaps(scores, overlaps):
    with figures.style.applied():
        assert overlaps(figures.forgetting_curves({"clnet": scores})) == []
        assert overlaps(figures.structure_scores(scores)) == []


def test_every_structure_is_in_the_figure(scores):
    labels = [label.get_text() for axis in figures.structure_scores(scores).axes for label in axis.get_yticklabels()]
    assert sum("phantom" not in label for label in labels) == 66
    assert sum("(continued)" in label for label in labels) == 1


def test_figures_of_one_dataset_and_of_undefined_scores(scores, tmp_path):
    one = scores[(scores["step"] == 0) & (scores["structure"] == "Liver")].assign(dsc=float("nan"), status="not_annotated")
    for name, figure in {"a": figures.forgetting_curves({"clnet": one}), "b": figures.structure_scores(one)}.items():
        assert figures.save(figure, tmp_path, name).stat().st_size > 1000


def test_orders_that_differ_share_no_step_names(scores, scores_of):
    other = scores_of()
    other["trained_on"] = other["trained_on"].replace({"phantom_chest": "phantom_lesion", "phantom_lesion": "phantom_chest"})
    other = pd.concat([other[~other["dataset"].isin(("phantom_chest", "phantom_lesion"))]])
    figure = figures.forgetting_curves({"O1": scores, "O2": other})
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["S0", "S1", "S2", "S3", "S4"]


def test_wrong_folder_ends_with_code_2(tmp_path, capsys):
    assert main([str(tmp_path / "none")]) == 2
    assert "not a run folder" in capsys.readouterr().err


def test_broken_table_ends_with_code_3(run_with, scores, capsys):
    assert main([str(run_with(scores.assign(status="?")))]) == 3
    assert "unknown status" in capsys.readouterr().err


def test_torch_is_never_imported():
    code = "import sys; from analysis import report, terminal; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

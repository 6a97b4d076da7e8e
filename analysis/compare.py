"""Several finished runs side by side: tables, forgetting curves, what pruning did; Markdown, LaTeX, CSV, PNG, SVG and one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from analysis import figures, pruning, render
from analysis.comparison_forgetting import forgetting_table
from analysis.comparison_settings import for_terminal, settings_table
from analysis.comparison_tables import comparison_table, runs_table
from analysis.encoders import encoder_table
from analysis.groups import Group, read_groups
from analysis.page import check_output, page, picture, publish
from analysis.pruning_figure import pruning_effect

PAGE = "comparison.html"
Picture = tuple  # (figure, name, caption)


def build(folders: Sequence[Path], output: Path, names: Sequence[str] | None = None,
          differences: Mapping[str, Sequence[str]] | None = None) -> list[Group]:
    """Compare run folders into the folder `output`; returns the runs by name.

    differences: setting -> its value in each folder, in the order of `folders`; None: the page says nothing of settings.
    Raises UsageError for folders that are no run folders, names that do not fit, and an `output` that holds something else; DataError
    for tables that break the contract; HostError for a full disk.
    """
    output = Path(output)
    check_output(output, PAGE, "comparison")
    groups = read_groups(folders, names)
    settings = None if differences is None else settings_table(groups, folders, differences)
    publish(output, lambda folder: _fill(groups, settings, folder))
    return groups


def summary(groups: Sequence[Group], settings: render.Table | None = None) -> str:
    """The comparison without datasets, for a terminal. settings: the table of settings in which the runs differ."""
    tables = [*([for_terminal(settings)] if settings else []), comparison_table(groups, brief=True)]
    return "\n\n".join([*map(render.text, tables), *(f"{name}: {note}" for name, note in _warnings(groups))])


def _fill(groups: Sequence[Group], settings: render.Table | None, folder: Path) -> None:
    sections = {
        "Settings": ([], [] if settings is None else [settings]),
        "Results": ([], [comparison_table(groups), runs_table(groups)]),
        "Encoders": ([], [table for table in [encoder_table(groups)] if table is not None]),
        "Forgetting": (_curves(groups), [forgetting_table(groups)]),
        "Pruning": (_pruning(groups), []),
    }
    body = [f"<p class=warning>{escape(f'{name}: {note}')}</p>" for name, note in _warnings(groups)]
    for title, (pictures, tables) in sections.items():
        body += [f"<h2>{title}</h2>"] if pictures or tables else []
        body += [picture(figures.save(figure, folder / "figures", name), caption) for figure, name, caption in pictures]
        for table in tables:
            render.write(table, folder / "tables")
            body.append(render.html(table))
    (folder / PAGE).write_text(page(f"Comparison of {', '.join(group.name for group in groups)}", "\n".join(body)), encoding="utf-8")


def _curves(groups: Sequence[Group]) -> list[Picture]:
    """Forgetting curves of all runs, unless each has a single step."""
    if all(len(group.first.trained_on) == 1 for group in groups):
        return []
    stages = ", ".join(f"{group.name} {group.first.stage}" for group in groups)
    figure = figures.forgetting_curves({group.name: group.scores for group in groups})
    return [(figure, "forgetting_curves", "Forgetting curves (as Fig. 4 of the paper): DSC on each dataset from the step that learned it; "
                                          f"bands: standard deviation over cases. Stages: {stages}")]


def _pruning(groups: Sequence[Group]) -> list[Picture]:
    """The effect of pruning between the first two names, where one is pruned and the other not."""
    if len(groups) < 2 or pruning.is_pruned(groups[0].first) == pruning.is_pruned(groups[1].first):
        return []
    pruned, other = sorted(groups[:2], key=lambda group: not pruning.is_pruned(group.first))
    effect = pruning.effect_between(pruned.first, other.first)
    if not effect["difference_points"].notna().any():
        return []
    seeds = f" (seeds {pruned.first.identity['seed']} and {other.first.identity['seed']})" if len(pruned.runs) + len(other.runs) > 2 else ""
    return [(pruning_effect(effect), "pruning_effect",
             f"Pruning (as Fig. 3 of the paper): test DSC of {pruned.name} minus that of {other.name}{seeds} after the last step, "
             f"{pruning.shared_stage(pruned.first, other.first)}, mean over each decoder's datasets and structures, and pruning rate of "
             f"each decoder; {pruning.effect_in_words(effect)}. A bar that is cut bears its value")]


def _warnings(groups: Sequence[Group]) -> list[tuple[str, str]]:
    return [(group.name, note) for group in groups for run in group.runs for note in run.notes]

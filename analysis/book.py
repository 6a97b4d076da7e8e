"""The benchmark's page: every table and figure of the paper with our runs' numbers beside the paper's, and what those runs were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

from analysis import exhibits, figures, paper, provenance, pruning, render
from analysis.browser import case_browser
from analysis.chapters import STATES, Chapter, chapter, index_table
from analysis.decoders import decoder_table
from analysis.exhibits.match import is_stand_in
from analysis.frozen import broken, frozen_table
from analysis.groups import Group, read_groups
from analysis.load import Run
from analysis.page import asset, check_output, page, picture, publish
from analysis.pruning_figure import pruning_effect
from analysis.render import Table
from analysis.statistics.tables import tables as statistics

PAGE = "index.html"
EXHIBITS = "Tables and figures of the paper"


def build(folders: Sequence[Path], output: Path, names: Sequence[str] | None = None) -> Path:
    """Write the page of finished runs, with its tables and figures as files, into the folder `output`; returns the page's path.

    Any set of runs will do, also none: what they do not fill is named, with the command that would. Raises UsageError for folders that are
    no run folders, names that do not fit, and an `output` that holds something else; DataError for tables that break the contract;
    HostError for a full disk.
    """
    output = Path(output)
    check_output(output, PAGE, "page")
    groups = read_groups(folders, names)
    publish(output, lambda folder: _fill(groups, output, folder))
    return output / PAGE


def _fill(groups: Sequence[Group], output: Path, folder: Path) -> None:
    shelf = _Shelf(folder, provenance.name_links(group.name for group in groups))
    runs = provenance.labels(groups)
    chapters = [chapter(exhibit, groups) for exhibit in exhibits.ALL]
    parts = {
        "What was run": _what_was_run(groups, output, shelf),
        EXHIBITS: shelf.table(index_table(chapters), {one.number: f"#{one.anchor}" for one in chapters})
        + "".join(_exhibit(one, groups, shelf) for one in chapters),
        "Statistics": "".join(map(shelf.table, statistics(groups))) if groups else "",
        "Pruning, decoder by decoder": _decoders(runs, shelf),
        "What stayed frozen": "".join(shelf.table(table) for table in [frozen_table(runs)] if table),
        "Test cases": case_browser(runs, shelf.links) if runs else "",
    }
    contents = "".join(f"<a href='#{provenance.anchor(title)}'>{title}</a>" for title in parts)
    notes = [*provenance.warnings(groups), *broken(runs), *_stand_in(groups)]
    body = [f"<style>{asset('book.css')}</style><p class=headline>{escape(_headline(groups, chapters))}</p><nav>{contents}</nav>",
            *(f"<p class=warning>{escape(note)}</p>" for note in notes),
            *(f"<h2 id={provenance.anchor(title)}>{title}</h2>\n{part or '<p class=note>Nothing: no run has any.</p>'}"
              for title, part in parts.items())]
    (folder / PAGE).write_text(page("The paper's tables and figures, from our runs", "\n".join(body)), encoding="utf-8")


class _Shelf:
    """Puts tables and figures into files below `folder`, each name once, and returns the HTML that shows them."""

    def __init__(self, folder: Path, links: dict[str, str]):
        self.folder, self.links, self.taken = folder, links, set()

    def table(self, table: Table, links: dict[str, str] | None = None, heading: str = "") -> str:
        """`heading`: what stands above already, not to be said again. Raises ValueError for a second table of the same name."""
        self._take(f"table {table.name}")
        render.write(table, self.folder / "tables")
        return render.html(replace(table, title="") if table.title == heading else table, self.links if links is None else links)

    def picture(self, figure, name: str, caption: str) -> str:
        """Raises ValueError for a second figure of the same name."""
        self._take(f"figure {name}")
        return picture(figures.save(figure, self.folder / "figures", name), caption)

    def _take(self, what: str) -> None:
        if what in self.taken:
            raise ValueError(f"two files of one name: {what}")
        self.taken.add(what)


def _headline(groups: Sequence[Group], chapters: Sequence[Chapter]) -> str:
    count = Counter(one.state for one in chapters)
    states = ", ".join(f"{count[state]} {state}" for state in STATES if count[state])
    runs = sum(len(group.runs) for group in groups)
    return f"{runs} run{'s' * (runs != 1)} under {len(groups)} name{'s' * (len(groups) != 1)}; {len(chapters)} tables and figures: {states}"


def _stand_in(groups: Sequence[Group]) -> list[str]:
    """The caveat of the paper's numbers beside those of the phantom."""
    phantom = [name for group in groups if is_stand_in(group.first) for name in group.first.learned_at]
    return [paper.caveat(phantom)] if phantom else []


def _what_was_run(groups: Sequence[Group], output: Path, shelf: _Shelf) -> str:
    return shelf.table(provenance.runs_table(groups)) + provenance.folders(groups, output) if groups else "<p class=note>No runs.</p>"


def _exhibit(one: Chapter, groups: Sequence[Group], shelf: _Shelf) -> str:
    """Pictures and tables, then the runs behind them, what is missing, and the commands."""
    heading = f"{one.number}: {one.title}"
    parts = [f"<section id={one.anchor}><h3>{escape(heading)} <a href='#{provenance.anchor(EXHIBITS)}'>index</a></h3>"]
    parts += [shelf.picture(each.figure, each.name, each.caption) for each in one.made.pictures]
    parts += [shelf.table(table, heading=heading) for table in one.made.tables]
    if one.runs:
        links = ", ".join(f"<a href='{escape(shelf.links[name])}'>{escape(name)}</a>" for name in one.runs)
        parts.append(f"<p class=note>Ours come from: {links}</p>")
        gaps = [note for group in groups if group.name in one.runs for note in provenance.warnings([group])]
        parts += [f"<p class=warning>{escape(note)}</p>" for note in gaps]
    commands = escape("\n".join(one.commands))
    if one.made.missing:
        sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in one.made.missing)
        parts.append(f"<div class=missing>Missing:<ul>{sentences}</ul>What would fill it:<pre class=commands>{commands}</pre></div>")
    elif commands:
        parts.append(f"<details><summary>How to make it again</summary><pre class=commands>{commands}</pre></details>")
    return "\n".join([*parts, "</section>\n"])


def _decoders(runs: dict[str, Run], shelf: _Shelf) -> str:
    """Each run's figure of pruning, where it was pruned, and its decoders with rates, sizes and hashes, folded."""
    parts = []
    for label, run in runs.items():
        table = decoder_table(run)
        if table is None:
            continue
        name = provenance.anchor(label)
        effect = pruning.effect_within(run)
        if pruning.is_pruned(run) and effect["difference_points"].notna().any():
            parts.append(shelf.picture(pruning_effect(effect, "validation DSC difference (points)"), f"pruning_effect_{name}",
                                       f"{label}: validation DSC after pruning minus before, and pruning rate of each decoder; "
                                       f"{pruning.effect_in_words(effect)}. A bar that is cut bears its value"))
        table = replace(table, name=f"decoders_{name}", title=f"Decoders of {label}")
        parts.append(f"<details><summary>Decoders of {escape(label)}</summary>{shelf.table(table)}</details>")
    return "".join(parts)

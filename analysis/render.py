"""One table in all its forms: plain text for a terminal, Markdown, LaTeX (booktabs), HTML, and CSV with full precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from textwrap import fill

import pandas as pd

DASH = "\N{EN DASH}"  # an undefined value
_LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
          "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", DASH: "--",
          "\N{MINUS SIGN}": "$-$", "\N{RIGHTWARDS ARROW}": r"$\rightarrow$", "\N{PLUS-MINUS SIGN}": r"$\pm$",
          "\N{BULLET}": r"\textbullet{}"}


@dataclass(frozen=True)
class Table:
    """Formatted rows under a header, the numbers behind them, and notes below.

    `name` is the file name without ending; `summary_rows` are indices of rows that stand out (means, totals), `bold` the (row, column)
    of single cells that do (the best of their column).
    """

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    data: pd.DataFrame
    notes: tuple[str, ...] = ()
    summary_rows: frozenset[int] = field(default_factory=frozenset)
    bold: frozenset[tuple[int, int]] = field(default_factory=frozenset)


def number(value: float, digits: int = 3) -> str:
    """`value` with fixed digits; an en dash where it is undefined; never `-0.000`."""
    if pd.isna(value):
        return DASH
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def signed(value: float, digits: int = 3) -> str:
    """A difference: as `number`, with a plus where it is above zero as shown."""
    text = number(value, digits)
    return f"+{text}" if pd.notna(value) and float(text) > 0 else text


def text_width(table: Table) -> int:
    """Columns that `text` would need."""
    return sum(max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)) + 2 * (len(table.header) - 1)


def text(table: Table, width: int = 120) -> str:
    """Aligned columns with two spaces between them; what exceeds `width` is cut with an ellipsis in the first column only."""
    columns = list(zip(table.header, *table.rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    spare = width - sum(widths[1:]) - 2 * (len(widths) - 1)
    widths[0] = min(widths[0], max(spare, 12))

    def line(cells: tuple[str, ...]) -> str:
        first = cells[0] if len(cells[0]) <= widths[0] else cells[0][: widths[0] - 1] + "\N{HORIZONTAL ELLIPSIS}"
        return "  ".join(cell.ljust(size) for cell, size in zip((first, *cells[1:]), widths, strict=True)).rstrip()

    rule = "-" * min(width, sum(widths) + 2 * (len(widths) - 1))
    lines = [table.title, rule, line(table.header), rule]
    for index, row in enumerate(table.rows):
        if index in table.summary_rows and index - 1 not in table.summary_rows and index:
            lines.append(rule)
        lines.append(line(row))
    return "\n".join([*lines, rule, *(fill(note, width) for note in table.notes)])


def markdown(table: Table) -> str:
    """GitHub's pipe table under a heading."""
    def line(cells: tuple[str, ...], index: int | None = None) -> str:
        clean = [cell.replace("|", r"\|") for cell in cells]
        stands_out = [index in table.summary_rows or (index, column) in table.bold for column in range(len(cells))]
        return "| " + " | ".join(f"**{cell}**" if bold and cell else cell for cell, bold in zip(clean, stands_out, strict=True)) + " |"

    rows = [line(row, index) for index, row in enumerate(table.rows)]
    rule = "|" + "|".join([" --- "] + [" ---: "] * (len(table.header) - 1)) + "|"
    notes = [note.replace("*", r"\*") + "\n" for note in table.notes]
    return "\n".join([f"### {table.title}", "", line(table.header), rule, *rows, "", *notes])


def latex(table: Table) -> str:
    r"""A `table` float with booktabs rules; needs \usepackage{booktabs}."""
    def line(cells: tuple[str, ...], index: int | None = None) -> str:
        clean = ["".join(_LATEX.get(letter, letter) for letter in cell) for cell in cells]
        return " & ".join(rf"\textbf{{{cell}}}" if (index, column) in table.bold else cell for column, cell in enumerate(clean)) + r" \\"

    body = []
    for index, row in enumerate(table.rows):
        if index in table.summary_rows and index - 1 not in table.summary_rows and index:
            body.append(r"\midrule")
        body.append(line(row, index))
    caption = "".join(_LATEX.get(letter, letter) for letter in " ".join((f"{table.title}.", *table.notes)))
    return "\n".join([r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", rf"\label{{tab:{table.name}}}",
                      rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}", r"\toprule", line(table.header), r"\midrule", *body,
                      r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def html(table: Table, links: Mapping[str, str] | None = None) -> str:
    """A <table> with its title and notes; a cell whose whole text is a key of `links` leads to the address behind it."""
    def cell(text: str, bold: bool) -> str:
        shown = f"<b>{escape(text)}</b>" if bold else escape(text)
        address = (links or {}).get(text)
        return f"<td><a href='{escape(address)}'>{shown}</a></td>" if address else f"<td>{shown}</td>"

    def line(index: int, cells: tuple[str, ...]) -> str:
        row = "".join(cell(text, (index, column) in table.bold) for column, text in enumerate(cells))
        return f"<tr{' class=summary' if index in table.summary_rows else ''}>{row}</tr>\n"

    head = "".join(f"<th>{escape(text)}</th>" for text in table.header)
    rows = "".join(line(index, row) for index, row in enumerate(table.rows))
    notes = "".join(f"<p class=note>{escape(note)}</p>" for note in table.notes)
    return (f"<h3 id={escape(table.name)}>{escape(table.title)}</h3>\n<div class=scroll><table><thead><tr>{head}</tr></thead>\n"
            f"<tbody>{rows}</tbody></table></div>{notes}\n")


def write(table: Table, folder: Path) -> None:
    """`folder`/<name>.md, .tex and .csv; the CSV holds the numbers, undefined ones as empty cells."""
    (folder / f"{table.name}.md").write_text(markdown(table), encoding="utf-8")
    (folder / f"{table.name}.tex").write_text(latex(table), encoding="utf-8")
    table.data.to_csv(folder / f"{table.name}.csv", index=False)

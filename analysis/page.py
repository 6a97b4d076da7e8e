"""One self-contained HTML page out of tables and pictures, and the folder that it lies in."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable
from html import escape
from pathlib import Path

from clnet.atomic import explained, replace_folder
from clnet.errors import UsageError

SORTING = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")

CSS = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 1200px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em } h2 { margin-top: 2em; border-bottom: 1px solid #ccc } h3 { font-size: 1em; margin: 1.6em 0 .4em }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: .15em .7em; text-align: right; white-space: nowrap } th:first-child, td:first-child { text-align: left }
thead tr { border-top: 2px solid #222; border-bottom: 1px solid #222 } tbody { border-bottom: 2px solid #222 }
tr.summary { font-weight: 600; border-top: 1px solid #888 } tbody tr:hover { background: #f2f6fa }
.note { font-size: 12.5px; color: #555; margin: .3em 0 } .headline { font-size: 1.15em; font-weight: 600 }
.warning { background: #fff3e0; border-left: 4px solid #d55e00; padding: .4em .8em }
img { max-width: 100% } pre { overflow-x: auto; font-size: 12px } figure { margin: 1em 0 } a { color: #0059a8 }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; text-align: inherit }
th button:hover { text-decoration: underline } th { position: relative }
th[aria-sort]::after { position: absolute; right: .1em; content: ""; font-size: .7em; line-height: 2.2 }
th[aria-sort=ascending]::after { content: "\\25B2" } th[aria-sort=descending]::after { content: "\\25BC" }
:focus-visible { outline: 2px solid #0059a8; outline-offset: 1px }
@media (max-width: 600px) { body { margin: 1em auto; padding: 0 .7em } h1 { font-size: 1.25em; overflow-wrap: anywhere } figure { overflow-x: auto } }
@media print { th button { all: unset } }
"""


def page(title: str, body: str) -> str:
    """A whole HTML page; `body` is HTML, `title` is text. Its tables sort by a click or a key on a header."""
    return (f"<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n<h1>{escape(title)}</h1>\n{body}\n<script>{SORTING}</script>\n</html>\n")


def picture(png: Path, caption: str) -> str:
    """An image inside the page itself, with its caption."""
    code = base64.b64encode(png.read_bytes()).decode("ascii")
    return (f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{code}">'
            f"<figcaption class=note>{escape(caption)}</figcaption></figure>")


def publish(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Let `fill` write `tables/`, `figures/` and pages into a draft, then put it at `folder`; what stood there stays until then."""
    folder = Path(folder).absolute()
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.draft")
    with explained(folder):
        shutil.rmtree(draft, ignore_errors=True)
        try:
            for name in ("tables", "figures"):
                (draft / name).mkdir(parents=True)
            fill(draft)
            replace_folder(draft, folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder


def check_output(output: Path, page_name: str, word: str) -> None:
    """Raises UsageError where `output` is a file, or a folder with something in it that is no earlier `word` (a page `page_name`)."""
    fix = f"output names a folder that is new or holds an earlier {word}"
    if output.exists() and not output.is_dir():
        raise UsageError("the output is a file", where=output, fix=fix)
    inside = sorted(path.name for path in output.iterdir()) if output.is_dir() else []
    if inside and page_name not in inside:
        raise UsageError("the output folder holds something else", where=output.resolve(), found=inside[:5], fix=fix)

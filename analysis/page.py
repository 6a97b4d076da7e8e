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


def asset(name: str) -> str:
    """A style sheet or script of `analysis/web`, to be put into a page."""
    return (Path(__file__).parent / "web" / name).read_text(encoding="utf-8")


def page(title: str, body: str) -> str:
    """A whole HTML page; `body` is HTML, `title` is text. Its tables sort by a click or a key on a header."""
    return (f"<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>{escape(title)}</title>\n<style>{asset('page.css')}</style>\n<h1>{escape(title)}</h1>\n{body}\n"
            f"<script>{asset('page.js')}</script>\n</html>\n")


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

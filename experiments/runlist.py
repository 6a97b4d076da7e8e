"""Which run folders a command means by `runs=`."""

from __future__ import annotations

from collections.abc import Sequence
from glob import glob
from pathlib import Path

from clnet.errors import UsageError
from experiments import runfolder
from experiments.results import SCORES_OF

_PATTERN = set("*?")


def chosen(runs: str | Sequence[str] | None, place: Path, finished: bool = False, cases: str | None = None) -> list[Path]:
    """Each of `runs` is a run folder, the name of one in the folder `place`, or a pattern with * or ? of either; None: all in `place`.

    A pattern finds what is a run folder and, if `finished`, no run that is not; cases: `test` or `validation`, those alone that were
    scored on them. Each folder comes once.
    Raises UsageError for what is no run folder, and for patterns that find none.
    """
    found: list[Path] = []
    for name in ["*"] if runs is None else [runs] if isinstance(runs, str) else runs:
        folders = _matching(str(name), place, finished, cases) if _PATTERN & set(str(name)) else [_named(str(name), place)]
        if runs is not None and not folders:
            kind = f"no {'finished ' * finished}run folder {f'with scores of {cases} cases ' if cases else ''}is named like this"
            raise UsageError(kind, where=f"runs={name}",
                             found=_beside(place), fix="quote the pattern, or name the folders: runs=A,B")
        found += folders
    return list(dict.fromkeys(found))


def _named(name: str, place: Path) -> Path:
    folder = Path(name).expanduser()
    if "/" not in name and not (folder / "config.yaml").is_file():
        folder = place / name
    runfolder.load(folder)
    return folder


def _matching(pattern: str, place: Path, finished: bool, cases: str | None) -> list[Path]:
    paths = glob(str(Path(pattern).expanduser())) if "/" in pattern else sorted(place.glob(pattern))
    folders = [Path(path) for path in sorted(paths) if (Path(path) / "config.yaml").is_file()]
    if finished:
        folders = [folder for folder in folders if runfolder.read_status(folder).get("state", "finished") == "finished"]
    if cases is not None:
        wanted = cases == "validation"
        folders = [folder for folder in folders if (folder / SCORES_OF["validation"]).is_file() == wanted]
    return folders


def _beside(place: Path) -> str | None:
    names = sorted(path.parent.name for path in place.glob("*/config.yaml"))
    return f"runs in {place}: {', '.join(names)}" if names else None

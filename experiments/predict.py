"""`task=predict`: label maps of new scans by a finished run, each on its scan's own grid."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from clnet.atomic import write_json
from clnet.errors import DataError, UsageError
from clnet.learn.progress import RunProgress, clock
from experiments.outputs import Draw, Outputs
from experiments.scans import Scan, find_scans, refuse_foreign
from experiments.spread import Outcome, Settings, labelled, shared_out, workers_of
from experiments.structurestats import TABLE_FILE, read_statistics, write_table

LABELS_FILE = "labels.json"


def predict_folder(cfg: Mapping, draw: Draw | None = None) -> Path:
    """Write a label map for every scan of `input`, and labels.json: value -> structure. Returns the output folder.

    The model and all that shapes its predictions are the run's (`run=`); the hardware is this command's (`trainer=`). Label maps that
    the same model has already made of the same scans are kept. Predictions are merged as the run says; where structures that may share
    voxels overlap, lesions win in the label map, then the smaller structure (`CombinedLabelMap`). With `masks=true` each scan also gets
    a folder of one mask per structure found, where nothing hides anything, and of one label map per exclusive set. `predict.statistics`,
    `predict.pictures` (by `draw`) and `predict.seg` ask for what `Outputs` describes.
    Raises UsageError before anything is written where input, output or run cannot be right; DataError that lists every refused scan,
    after all others are done (its `faults` holds them one by one).
    """
    own, hardware, progress = cfg.get("predict") or {}, cfg.get("trainer") or {}, RunProgress()
    outputs = Outputs.of(cfg, draw)
    found = find_scans(cfg.get("input"), cfg.get("output"), own.get("series"))
    workers = workers_of(hardware, int(own.get("workers") or 1))
    settings = Settings(Path(cfg["paths"]["run"]), json.dumps(shared_out(hardware, workers)), outputs)
    model, scans, refused = settings.model(), found.scans, dict(found.refused)
    refuse_foreign(scans)
    output = Path(cfg["output"]).expanduser().absolute()
    _write_names(output / LABELS_FILE, model.names)
    for note in found.skipped:
        progress.say(f"skipped: {note}")
    missing = [scan for scan in scans if not model.has_labelled(scan)]
    progress.say(f"{len(scans)} scan(s), {len(scans) - len(missing)} of them done; {len(model.names)} structures, "
                 f"on {_machine(model.method.shop.trainer.accelerator, min(workers, len(missing)))}: {output}")  # fmt: skip
    for scan in missing:
        progress.plan(scan.name, 1)
    for count, (scan, outcome) in enumerate(labelled(model, settings, missing, workers), start=1):
        progress.skip(scan.name, time.time())
        progress.say(_line(scan, outcome, count, len(missing), progress))
        if outcome.refused:
            refused[scan.name] = outcome.refused
    if outputs.statistics:
        known = (read_statistics(scan.statistics) for scan in scans if scan.name not in refused)
        write_table(output / TABLE_FILE, (held for held in known if held is not None))
    if refused:
        raise _gathered(refused, len(scans) + len(found.refused))
    return output


def _line(scan: Scan, outcome: Outcome, count: int, total: int, progress: RunProgress) -> str:
    said = f"refused: {outcome.refused.what}" if outcome.refused else f"{len(outcome.found)} structures found"
    left = f"  time left {clock(progress.seconds_left)}" if count < total else ""
    return f"{count} of {total}  {scan.name}: {said} ({outcome.seconds:.0f} s){left}"


def _machine(accelerator: str, workers: int) -> str:
    return f"{accelerator} in {workers} processes" if workers > 1 else accelerator


def _write_names(path: Path, names: Mapping[int, str]) -> None:
    """labels.json; raises UsageError where label maps of other meaning lie already."""
    table = {str(value): name for value, name in names.items()}
    if path.exists():
        try:
            before = json.loads(path.read_text())
        except ValueError:
            before = None
        if before == table:
            return
        raise UsageError("the output folder holds label maps whose values mean something else", where=path,
                         found="labels.json of another model", fix="output=ANOTHER_FOLDER, or remove this one")
    write_json(path, table)


def _gathered(refused: Mapping[str, DataError], total: int) -> DataError:
    listing = "\n".join(f"  {name}:\n" + "\n".join("    " + line for line in str(error).splitlines()) for name, error in refused.items())
    error = DataError(f"{len(refused)} of {total} scan(s) are refused; the label maps of the others are written\n{listing}",
                      fix="correct or remove these files, then run the same command again")
    error.faults = tuple(refused.values())
    return error

"""`task=predict`: label maps of new scans by a finished run, each on its scan's own grid."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from clnet.anatomy import registry
from clnet.atomic import write_json
from clnet.data.casework import prepare_scan
from clnet.data.integrity import file_faults
from clnet.data.writer import note_of, write_labels
from clnet.errors import DataError, UsageError
from clnet.infer.combine import CombinedLabelMap, numbered
from clnet.infer.mergedscan import Anywhere, ScanMerging
from clnet.infer.merging import MergingRules
from clnet.learn.progress import RunProgress
from clnet.units import UnitStore, key_of
from experiments import runfolder
from experiments.maskfolder import MaskFolder, noted
from experiments.pipeline import LOCAL, datasets, made, method_of
from experiments.scans import NOTE, Scan, find_scans, refuse_foreign

LABELS_FILE = "labels.json"
_SCHEMA = 2  # of a label map; raise it whenever the same scan and weights would give another


def predict_folder(cfg: Mapping) -> Path:
    """Write a label map for every scan of `input`, and labels.json: value -> structure. Returns the output folder.

    The model and all that shapes its predictions are the run's (`run=`); the hardware is this command's (`trainer=`). Label maps that
    the same model has already made of the same scans are kept. Predictions are merged as the run says; where structures that may share
    voxels overlap, lesions win in the label map, then the smaller structure (`CombinedLabelMap`). With `masks=true` each scan also gets
    a folder of one mask per structure found, where nothing hides anything, and of one label map per exclusive set.
    Raises UsageError before anything is written where input, output or run cannot be right; DataError that lists every refused scan,
    after all others are done (its `faults` holds them one by one).
    """
    scans, progress = find_scans(cfg.get("input"), cfg.get("output")), RunProgress()
    model = TrainedModel(Path(cfg["paths"]["run"]), cfg.get("trainer") or {}, progress, bool(cfg.get("masks")))
    refuse_foreign(scans)
    output = scans[0].labels.parent
    _write_names(output / LABELS_FILE, model.names)
    missing = [scan for scan in scans if not model.has_labelled(scan)]
    progress.say(f"{len(scans)} scan(s), {len(scans) - len(missing)} of them done; {len(model.names)} structures, "
                 f"on {model.method.shop.trainer.accelerator}: {output}")  # fmt: skip
    predictor, refused = model.predictor() if missing else None, {}
    for count, scan in enumerate(missing, start=1):
        began = time.monotonic()
        try:
            outcome = f"{len(model.label(scan, predictor))} structures found"
        except DataError as error:
            refused[scan.name], outcome = error, f"refused: {error.what}"
        progress.say(f"{count} of {len(missing)}  {scan.name}: {outcome} ({time.monotonic() - began:.0f} s)")
    if refused:
        raise _gathered(refused, len(scans))
    return output


class TrainedModel:
    """The method of a finished run as it stands after the last step."""

    def __init__(self, run: Path, hardware: Mapping, progress: RunProgress, masks: bool = False):
        cfg = runfolder.load(run)
        cfg["trainer"] = {**cfg["trainer"], "prediction_precision": None, **hardware, "precision": cfg["trainer"]["precision"]}
        cfg["launcher"] = LOCAL
        cfg["data"] = {**cfg["data"], "make": None}  # descriptions of the datasets are enough; their files may be gone
        specs = datasets(cfg)
        self.method = method_of(cfg, specs.values(), UnitStore(Path(cfg["paths"]["units"])), progress)
        self.method.load(run / "model")
        known = registry.load().with_decoders(decoder for spec in specs.values() for decoder in spec.decoders)
        self.lesions = frozenset(name for name, structure in known.structures.items() if structure.group == "Lesion")
        self.parts = self.method.parts()
        self.recipe = made(cfg["scale"]["recipe"])
        self.names = numbered(self.parts)
        rules = made(cfg["merging"]) if cfg["merging"] else MergingRules({}, {}, drop_lesions_outside=False)
        body = getattr(self.method, "body", Anywhere()) if cfg["merging"] else Anywhere()
        self.merging, self.masks = ScanMerging(rules, self.parts, body), masks
        self.identity = [_SCHEMA, [part.identity for part in self.parts], list(self.names.values()), self.recipe.identity(), cfg["merging"],
                         [body.identity(part.name) for part in self.parts]]  # fmt: skip

    def predictor(self) -> Callable:
        """The method's, with its weights loaded."""
        return self.method.predictor(self.merging.rules.lesions_first(self.parts))

    def has_labelled(self, scan: Scan) -> bool:
        """Whether the scan's label map is there, whole, and made of this very scan by this model."""
        note = note_of(scan.labels) if scan.labels.is_file() else None
        if note is None or not scan.image.is_file():
            return False
        return note == self._note(scan) and not file_faults(scan.labels) and (not self.masks or noted(scan) == note)

    def label(self, scan: Scan, predictor: Callable) -> list[str]:
        """Make the scan's label map; returns the structures found. Raises DataError for a scan that the reader refuses."""
        with TemporaryDirectory(prefix="clnet-predict-") as temporary:
            case = prepare_scan(scan.image, self.recipe, Path(temporary) / "case")
            combined = CombinedLabelMap(self.parts, case.geometry.shape_zyx, on_top=self.lesions)
            masks = MaskFolder(scan, case.geometry) if self.masks else None
            merged = self.merging(case, predictor)
            for part, label_map in merged.parts():
                combined.add(part, label_map)
                if masks:
                    masks.add(part, label_map)
            if masks:
                masks.finish(merged, self._note(scan))
        write_labels(scan.labels, combined.values, case.geometry, like=scan.image, note=self._note(scan))
        return combined.found()

    def _note(self, scan: Scan) -> str:
        with scan.image.open("rb") as file:
            return f"{NOTE} {key_of([*self.identity, hashlib.file_digest(file, 'sha256').hexdigest()])}"


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

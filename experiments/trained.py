"""The model of a finished run, and what it makes of one scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import SimpleITK as sitk

from clnet.anatomy import registry
from clnet.data.casework import prepare_scan
from clnet.data.dicom.segmentation import write_segmentation
from clnet.data.integrity import file_faults
from clnet.data.reader import read_image
from clnet.data.writer import note_of, write_labels
from clnet.infer.combine import CombinedLabelMap, numbered
from clnet.infer.mergedscan import Anywhere, ScanMerging
from clnet.infer.merging import MergingRules
from clnet.learn.progress import RunProgress
from clnet.types import Geometry
from clnet.units import UnitStore, key_of
from experiments import runfolder
from experiments.maskfolder import MaskFolder
from experiments.outputs import Outputs
from experiments.pipeline import LOCAL, datasets, made, method_of
from experiments.scans import NOTE, Scan
from experiments.structurestats import Confidences, StructureStatistics

_SCHEMA = 2  # of a label map; raise it whenever the same scan and weights would give another


class TrainedModel:
    """The method of a finished run as it stands after the last step. hardware: the trainer's settings of this machine."""

    def __init__(self, run: Path, hardware: Mapping, outputs: Outputs):
        cfg = runfolder.load(run)
        cfg["trainer"] = {**cfg["trainer"], "prediction_precision": "32-true", **hardware, "precision": cfg["trainer"]["precision"]}
        cfg["launcher"] = LOCAL
        cfg["data"] = {**cfg["data"], "make": None}  # descriptions of the datasets are enough; their files may be gone
        specs = datasets(cfg)
        self.method = method_of(cfg, specs.values(), UnitStore(Path(cfg["paths"]["units"])), RunProgress())
        self.method.load(run / "model")
        known = registry.load().with_decoders(decoder for spec in specs.values() for decoder in spec.decoders)
        self.lesions = frozenset(name for name, structure in known.structures.items() if structure.group == "Lesion")
        self.parts = self.method.parts()
        self.recipe = made(cfg["scale"]["recipe"])
        self.names = numbered(self.parts)
        labels = (label for part in self.parts for label in part.labels)
        self.groups = {value: known.structures[label.structures[0]].group for value, label in enumerate(labels, start=1)}
        rules = made(cfg["merging"]) if cfg["merging"] else MergingRules({}, {}, drop_lesions_outside=False)
        body = getattr(self.method, "body", Anywhere()) if cfg["merging"] else Anywhere()
        self.merging, self.outputs = ScanMerging(rules, self.parts, body), outputs
        self.identity = [_SCHEMA, [part.identity for part in self.parts], list(self.names.values()), self.recipe.identity(), cfg["merging"],
                         [body.identity(part.name) for part in self.parts]]  # fmt: skip

    def predictor(self) -> Callable:
        """The method's, with its weights loaded."""
        return self.method.predictor(self.merging.rules.lesions_first(self.parts))

    def has_labelled(self, scan: Scan) -> bool:
        """Whether all that is asked for of the scan is there, whole, and made of this very scan by this model."""
        note = note_of(scan.labels) if scan.labels.is_file() else None
        if note is None or scan.series is None and not scan.image.is_file():
            return False
        return note == self._note(scan) and not file_faults(scan.labels) and self.outputs.are_there(scan, note)

    def label(self, scan: Scan, predictor: Callable) -> list[str]:
        """Make all that is asked for; returns the structures found. Raises DataError for a scan that is refused.

        The label map comes last: where it is, everything else is.
        """
        with TemporaryDirectory(prefix="clnet-predict-") as temporary:
            readable = scan.readable(Path(temporary))
            case = prepare_scan(readable.image, self.recipe, Path(temporary) / "case")
            note = self._note(scan)
            combined = CombinedLabelMap(self.parts, case.geometry.shape_zyx, on_top=self.lesions)
            masks = MaskFolder(readable, case.geometry) if self.outputs.masks else None
            confidences = Confidences()
            merged = self.merging(case, confidences.watched(predictor) if self.outputs.statistics else predictor)
            statistics, image_hu = None, None
            if self.outputs.statistics or self.outputs.draw:
                image_hu, _ = read_image(readable.image)
            if self.outputs.statistics:
                statistics = StructureStatistics(image_hu, case.geometry, {name: v for v, name in self.names.items()}, confidences)
            for part, label_map in merged.parts():
                combined.add(part, label_map)
                if masks:
                    masks.add(part, label_map)
                if statistics:
                    statistics.add(part, label_map, merged.ranges[part.name])
            if masks:
                masks.finish(merged, note)
            if statistics:
                statistics.write(scan.statistics, scan.name, case.geometry, note)
            if self.outputs.draw:
                self.outputs.draw(image_hu, combined.values, case.geometry.spacing_mm, self.names, scan.picture, note)
            self._write(readable, combined, case.geometry, note)
        return combined.found()

    def _write(self, scan: Scan, combined: CombinedLabelMap, geometry: Geometry, note: str) -> None:
        """The label map, and before it the DICOM SEG out of it: in the file's own axes its slices are those of the series."""
        if self.outputs.seg and scan.series is not None:
            draft = scan.image.with_name("labels.nii.gz")
            write_labels(draft, combined.values, geometry, like=scan.image, note=note)
            write_segmentation(scan.segmentation, sitk.GetArrayFromImage(sitk.ReadImage(str(draft))), self.names, self.groups,
                               scan.series.images, note)  # fmt: skip
        write_labels(scan.labels, combined.values, geometry, like=scan.image, note=note)

    def _note(self, scan: Scan) -> str:
        return f"{NOTE} {key_of([*self.identity, scan.content])}"

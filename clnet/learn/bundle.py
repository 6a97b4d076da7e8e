"""What CL-Net has learned, as files: the encoder, the decoders and the labels that each was taught."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clnet.anatomy.registry import Registry
from clnet.atomic import replace_atomically, write_json
from clnet.errors import DataError
from clnet.learn.target import DecoderTarget, learned_labels
from clnet.types import Decoder, Label


@dataclass(frozen=True)
class LearnedDecoder:
    """A decoder as it stands: its weights file, the unit that made it, and every label that it was taught."""

    decoder: Decoder
    file: Path
    identity: str
    labels: tuple[Label, ...]

    @property
    def target(self) -> DecoderTarget:
        """What it can tell apart."""
        return DecoderTarget(self.decoder, learned_labels(self.labels))


@dataclass(frozen=True)
class LearnedEncoder:
    """The frozen encoder: its weights file and the unit that made it."""

    file: Path
    identity: str


def save_bundle(folder: Path, encoder: LearnedEncoder, decoders: Mapping[str, LearnedDecoder]) -> None:
    """Link (or copy) the weights into `folder` and describe them in `method.json`; the folder can be moved or sent."""
    folder.mkdir(parents=True, exist_ok=True)
    _link(encoder.file, folder / "encoder.safetensors")
    for name, state in decoders.items():
        _link(state.file, folder / f"{name}.safetensors")
    labels = {name: [[label.name, list(label.structures)] for label in state.labels] for name, state in decoders.items()}
    described = {name: {"identity": decoders[name].identity, "labels": labels[name]} for name in decoders}
    write_json(folder / "method.json", {"encoder": encoder.identity, "decoders": described})


def load_bundle(folder: Path, registry: Registry) -> tuple[LearnedEncoder, dict[str, LearnedDecoder]]:
    """What `save_bundle` wrote. Raises DataError where the description or a weight file is missing."""
    try:
        description = json.loads((folder / "method.json").read_text())
    except (OSError, ValueError) as error:
        raise DataError("no trained model", where=folder, found=error, fix="name the folder of a finished run: run=PATH") from error
    decoders = {}
    for name, entry in description["decoders"].items():
        labels = tuple(Label(label, tuple(structures)) for label, structures in entry["labels"])
        decoders[name] = LearnedDecoder(registry.decoders[name], folder / f"{name}.safetensors", entry["identity"], labels)
    encoder = LearnedEncoder(folder / "encoder.safetensors", description["encoder"])
    missing = [str(state.file) for state in (encoder, *decoders.values()) if not state.file.is_file()]
    if missing:
        raise DataError("weight files are missing", where=folder, found=", ".join(missing), fix="run the same command again")
    return encoder, decoders


def _link(source: Path, target: Path) -> None:
    with replace_atomically(target) as temporary:
        Path(temporary).unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, temporary)

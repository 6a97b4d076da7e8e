"""What CL-Net has learned, in one folder: encoders, decoders, and the decoders that only support others."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from clnet.anatomy.registry import Registry
from clnet.atomic import replace_atomically, write_json
from clnet.errors import DataError
from clnet.learn.archive import Archive, LearnedDecoder, LearnedEncoder
from clnet.model.support import Route
from clnet.types import Label


def save_bundle(folder: Path, archive: Archive, encoder: LearnedEncoder, learned: Mapping[str, LearnedDecoder]) -> None:
    """Link (or copy) the weights into `folder` and describe them in `method.json`; the folder can be moved or sent."""
    folder.mkdir(parents=True, exist_ok=True)
    encoders, decoders = reachable(archive, learned)
    encoders[encoder.identity] = encoder
    names = {state.identity: name for name, state in learned.items()}
    described: dict = {"encoder": encoder.identity, "encoders": {}, "decoders": {}}
    for number, (identity, state) in enumerate(encoders.items()):
        file = "encoder.safetensors" if state is encoder else f"encoder_{number}.safetensors"
        _link(state.file, folder / file)
        described["encoders"][identity] = {"file": file, "more_channels": state.more_channels}
    for number, (identity, state) in enumerate(decoders.items()):
        current = names.get(identity)
        file = f"{current or f'{state.decoder.name}_before_{number}'}.safetensors"
        _link(state.file, folder / file)
        described["decoders"][identity] = {
            "file": file, "current": current is not None, "decoder": state.decoder.name,
            "labels": [(label.name, label.structures) for label in state.labels],
            "encoder": state.route.encoder, "supporters": state.route.supporters, "as_masks": state.route.as_masks,
        }  # fmt: skip
    write_json(folder / "method.json", described)


def load_bundle(folder: Path, archive: Archive, registry: Registry) -> tuple[LearnedEncoder, dict[str, LearnedDecoder]]:
    """What `save_bundle` wrote, added to the archive. Raises DataError where the description or a weight file is missing."""
    try:
        description = json.loads((folder / "method.json").read_text())
    except (OSError, ValueError) as error:
        raise DataError("no trained model", where=folder, found=error, fix="name the folder of a finished run: run=PATH") from error
    files = [entry["file"] for kind in ("encoders", "decoders") for entry in description[kind].values()]
    missing = [str(folder / file) for file in files if not (folder / file).is_file()]
    if missing:
        raise DataError("weight files are missing", where=folder, found=", ".join(missing), fix="run the same command again")
    for identity, entry in description["encoders"].items():
        archive.add(LearnedEncoder(folder / entry["file"], identity, entry["more_channels"]))
    learned = {}
    for identity, entry in description["decoders"].items():
        labels = tuple(Label(label, tuple(structures)) for label, structures in entry["labels"])
        route = Route(entry["encoder"], tuple(entry["supporters"]), entry["as_masks"])
        state = LearnedDecoder(registry.decoders[entry["decoder"]], folder / entry["file"], identity, labels, route)
        archive.add(state)
        if entry["current"]:
            learned[state.decoder.name] = state
    return archive.encoders[description["encoder"]], learned


def reachable(
    archive: Archive, learned: Mapping[str, LearnedDecoder]
) -> tuple[dict[str, LearnedEncoder], dict[str, LearnedDecoder]]:
    """Encoders and decoders, by identity, that prediction loads: the learned ones, then what only supports them."""
    encoders: dict[str, LearnedEncoder] = {}
    decoders: dict[str, LearnedDecoder] = {}
    waiting = list(learned.values())
    while waiting:
        state = waiting.pop(0)
        decoders.setdefault(state.identity, state)
        encoders.setdefault(state.route.encoder, archive.encoders[state.route.encoder])
        waiting += [archive.decoders[key] for key in state.route.supporters if key not in decoders]
    return encoders, decoders


def _link(source: Path, target: Path) -> None:
    with replace_atomically(target) as temporary:
        Path(temporary).unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, temporary)

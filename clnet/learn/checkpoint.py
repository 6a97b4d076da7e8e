"""Checkpoints that a kill cannot spoil: written beside their place, synced, renamed; the one before is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from clnet.atomic import replace_atomically
from clnet.errors import HostError


class AtomicCheckpointIO(CheckpointIO):
    """Replaces Lightning's own writer, which is atomic on one file system only and is silent about a missing permission."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_atomically(path) as temporary:
            torch.save(checkpoint, temporary)
            if path.exists():
                os.replace(path, previous_of(path))
        if not path.is_file():
            raise HostError("checkpoint was not written", where=path, fix="check the folder's permissions and free space")

    def load_checkpoint(self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None) -> dict[str, Any]:
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


def previous_of(path: Path) -> Path:
    """Where the last but one checkpoint lies."""
    return path.with_name(f"previous-{path.name}")


def newest_readable(path: Path) -> Path | None:
    """The checkpoint to continue from: `path`, or the one before it where `path` cannot be read; None where there is none.

    Raises HostError when checkpoints exist and none can be read: starting anew would hide that work was lost.
    """
    broken = []
    for candidate in (path, previous_of(path)):
        if not candidate.exists():
            continue
        try:
            torch.load(candidate, map_location="cpu", weights_only=True)
            return candidate
        except Exception as error:  # a damaged archive fails in many ways, and each means the same here
            broken.append(f"{candidate.name}: {str(error).splitlines()[0]}")
    if broken:
        raise HostError(
            "no checkpoint can be read", where=path.parent, found="; ".join(broken), fix="delete this folder to train the unit anew"
        )
    return None


def steps_done(path: Path | None) -> int:
    """Optimiser steps that a checkpoint has behind it; 0 without one."""
    return 0 if path is None else int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])

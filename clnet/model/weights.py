"""Weights on disk and their fingerprint: safetensors, so that loading runs no code, and a hash that shows what changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from clnet.atomic import replace_atomically
from clnet.errors import DataError


def weights_sha256(*modules: nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of every parameter and buffer, in name order."""
    return tensors_sha256(*(module.state_dict() for module in modules))


def tensors_sha256(*states: Mapping[str, Tensor]) -> str:
    """The same of tensors by name."""
    digest = hashlib.sha256()
    for state in states:
        for name, tensor in sorted(state.items()):
            array = tensor.detach().cpu().contiguous().numpy()
            digest.update(f"{name}|{array.dtype}|{array.shape}|".encode())
            digest.update(array.reshape(-1).data)
    return digest.hexdigest()


def save_weights(module: nn.Module, path: Path) -> None:
    """Write the module's state as safetensors, in one step or not at all."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    with replace_atomically(path) as temporary:
        save_file(state, temporary, metadata={"sha256": weights_sha256(module)})


def load_weights(module: nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote into a module of the same shape.

    Raises DataError when the file is unreadable, belongs to another network, or does not hash to what was saved.
    """
    load_state(module, *read_weights(path), path)


def read_weights(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """The tensors by name, and the hash that was saved with them. Raises DataError when the file is unreadable."""
    try:
        with safe_open(path, framework="pt") as file:
            return load_file(path), (file.metadata() or {}).get("sha256")
    except (SafetensorError, OSError) as error:
        raise DataError(
            "weights cannot be read", where=path, found=error, fix="delete the folder that holds the file and run again"
        ) from error


def load_state(module: nn.Module, state: Mapping[str, Tensor], sha256: str | None, path: Path) -> None:
    """Put tensors that were read from `path` into a module. Raises DataError if they do not fit, or do not hash to `sha256`."""
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise DataError(
            "weights do not fit the network", where=path, found=str(error)[:500], fix="use the configuration they were trained with"
        ) from error
    if sha256 is not None and (found := weights_sha256(module)) != sha256:
        raise changed(path, found, sha256)


def changed(path: Path, found: str, expected: str) -> DataError:
    """The error for a file whose content does not hash to what was saved in it."""
    return DataError("weights changed on disk", where=path, found=found, expected=expected,
                     fix="delete the folder that holds the file and run again")  # fmt: skip


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """Number of parameters, and of those that are not zero."""
    parameters = list(module.parameters())
    return sum(p.numel() for p in parameters), sum(int((p != 0).sum()) for p in parameters)

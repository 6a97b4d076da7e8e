"""Pruned decoders on disk: for each masked tensor a compressed bitmask of what was kept, and the kept values alone.

A safetensors file. A tensor without a mask stands under its name; one with a mask under `<name>.kept`, the zlib-compressed bits in
C order, first element in the highest bit, and `<name>.values`, its kept elements in the same order. The metadata hold the shapes of the
masked tensors and the hash of what the file holds. What a mask removes is zero, so loading gives the same bits back.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from clnet.atomic import replace_atomically
from clnet.errors import DataError
from clnet.model.mask import Masks
from clnet.model.weights import changed, tensors_sha256, weights_sha256

_LEVEL = 9  # a bitmask with 2.5 % ones shrinks to a fifth


def save_sparse(module: nn.Module, masks: Mapping[str, Tensor], path: Path) -> None:
    """Write a module's state and its masks (parameter name -> bool, True = kept; may be empty), in one step or not at all.

    Raises ValueError where a removed element is not zero: the file could not give it back.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    shapes, content = {}, {}
    for name, tensor in state.items():
        if name not in masks:
            content[name] = tensor
            continue
        kept = masks[name].cpu()
        if bool((tensor[~kept] != 0).any()):
            raise ValueError(f"{name}: removed weights are not zero")
        bits = zlib.compress(np.packbits(kept.numpy().ravel()).tobytes(), _LEVEL)
        content[f"{name}.kept"] = torch.frombuffer(bytearray(bits), dtype=torch.uint8)
        content[f"{name}.values"] = tensor[kept]
        shapes[name] = list(tensor.shape)
    metadata = {"shapes": json.dumps(shapes), "packed_sha256": tensors_sha256(content)}
    with replace_atomically(path) as temporary:
        save_file(content, temporary, metadata=metadata)


def load_sparse(module: nn.Module, path: Path) -> Masks:
    """Read what `save_sparse` wrote into a module of the same shape; returns its masks.

    Nothing dense is made on the way: the module's own tensors are set to zero, and what was kept is put into them.
    Raises DataError when the file is unreadable, belongs to another network, or does not hash to what was saved.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            shapes = json.loads(metadata["shapes"])
            dense_sha256 = None if "packed_sha256" in metadata else metadata["sha256"]  # all that files once had
            content = {name: file.get_tensor(name) for name in file.keys()}
        if dense_sha256 is None and (found := tensors_sha256(content)) != metadata["packed_sha256"]:
            raise changed(path, found, metadata["packed_sha256"])
        values = {name: content.pop(f"{name}.values") for name in shapes}
        masks = {name: _bits(content.pop(f"{name}.kept"), shape) for name, shape in shapes.items()}
        _fill(module, content, masks, values, path)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError, zlib.error) as error:
        raise DataError(
            "a decoder cannot be read", where=path, found=error, fix="delete the folder that holds the file and run again"
        ) from error
    if dense_sha256 is not None and (found := weights_sha256(module)) != dense_sha256:
        raise changed(path, found, dense_sha256)
    return masks


@torch.no_grad()
def _fill(module: nn.Module, plain: Mapping[str, Tensor], masks: Masks, values: Mapping[str, Tensor], path: Path) -> None:
    """Put plain tensors, and the values that masks keep, into a module. Raises DataError where names or shapes are others."""
    state = module.state_dict()
    there = {name: tuple(tensor.shape) for name, tensor in {**plain, **masks}.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if there != wanted:
        differing = sorted(name for name in {*there, *wanted} if there.get(name) != wanted.get(name))
        raise DataError(
            "weights do not fit the network", where=path, found=", ".join(f"{name} {there.get(name)}" for name in differing)[:500],
            expected=", ".join(f"{name} {wanted.get(name)}" for name in differing)[:500],
            fix="use the configuration they were trained with",
        )  # fmt: skip
    for name, tensor in state.items():
        if name in masks:
            tensor.zero_().masked_scatter_(masks[name].to(tensor.device), values[name].to(tensor))
        else:
            tensor.copy_(plain[name])


def _bits(compressed: Tensor, shape: list[int]) -> Tensor:
    packed = np.frombuffer(zlib.decompress(compressed.numpy().tobytes()), np.uint8)
    return torch.from_numpy(np.unpackbits(packed, count=prod(shape)).view(bool)).reshape(shape)

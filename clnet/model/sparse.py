"""Pruned decoders on disk: for each masked tensor a compressed bitmask of what was kept, and the kept values alone.

A safetensors file. A tensor without a mask stands under its name; one with a mask under `<name>.kept`, the zlib-compressed bits in
C order, first element in the highest bit, and `<name>.values`, its kept elements in the same order. The metadata hold the shapes of the
masked tensors and the hash of the dense weights. What a mask removes is zero, so loading gives the same bits back.
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
from clnet.model.weights import load_state, weights_sha256

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
    metadata = {"shapes": json.dumps(shapes), "sha256": weights_sha256(module)}
    with replace_atomically(path) as temporary:
        save_file(content, temporary, metadata=metadata)


def load_sparse(module: nn.Module, path: Path) -> Masks:
    """Read what `save_sparse` wrote into a module of the same shape; returns its masks.

    Raises DataError when the file is unreadable, belongs to another network, or does not hash to what was saved.
    """
    state, masks, expected = read_sparse(path)
    load_state(module, state, expected, path)
    return masks


def read_sparse(path: Path) -> tuple[dict[str, Tensor], Masks, str]:
    """Dense tensors, masks and the hash of the weights. Raises DataError when the file cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            shapes = json.loads(metadata["shapes"])
            packed = {f"{name}.{part}" for name in shapes for part in ("kept", "values")}
            state = {name: file.get_tensor(name) for name in set(file.keys()) - packed}
            masks = {name: _bits(file.get_tensor(f"{name}.kept"), shape) for name, shape in shapes.items()}
            for name, kept in masks.items():
                values = file.get_tensor(f"{name}.values")
                state[name] = torch.zeros(shapes[name], dtype=values.dtype).masked_scatter_(kept, values)
            return state, masks, metadata["sha256"]
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError, zlib.error) as error:
        raise DataError(
            "a decoder cannot be read", where=path, found=error, fix="delete the folder that holds the file and run again"
        ) from error


def _bits(compressed: Tensor, shape: list[int]) -> Tensor:
    packed = np.frombuffer(zlib.decompress(compressed.numpy().tobytes()), np.uint8)
    return torch.from_numpy(np.unpackbits(packed, count=prod(shape)).astype(bool)).reshape(shape)

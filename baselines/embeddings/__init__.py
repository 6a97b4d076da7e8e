"""Text embeddings of anatomical structures, made ahead of time (make.py), so that no run needs a language model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from clnet.errors import DataError

FILE = Path(__file__).with_name("structures.safetensors")
GRAM = 3  # letters


def text_embedding(structures: Sequence[str], file: Path = FILE) -> Tensor:
    """(length,) float32 of length one: of a structure, or the mean of several that one label stands for; shipped: 384 numbers.

    A structure that the file does not have (a dataset's own, such as a target volume) gets `hashed_embedding`, which knows no meaning.
    Raises DataError for a file that is not one of make.py.
    """
    known = vectors(file)
    length = len(next(iter(known.values())))
    found = [known[name].float() if name in known else hashed_embedding(name, length) for name in structures]
    return F.normalize(torch.stack(found).mean(0), dim=0)


def hashed_embedding(name: str, length: int) -> Tensor:
    """(length,) of length one: counts of a name's three-letter pieces at places, and with signs, that their hashes decide.

    Similar spellings get similar vectors. It stands in where no language model has seen a name.
    """
    vector, text = torch.zeros(length), f"^{name.lower()}$"
    for start in range(max(len(text) - GRAM + 1, 1)):
        digest = hashlib.sha256(text[start : start + GRAM].encode()).digest()
        vector[int.from_bytes(digest[:4], "big") % length] += 1.0 if digest[4] % 2 else -1.0
    return F.normalize(vector, dim=0)


@cache
def fingerprint(file: Path = FILE) -> str:
    """Of a file's content. Raises DataError as `vectors`."""
    vectors(file)
    return hashlib.sha256(file.read_bytes()).hexdigest()


@cache
def vectors(file: Path) -> dict[str, Tensor]:
    """Structure -> embedding, all of one length. Raises DataError for a file that holds something else."""
    fix = "python -m baselines.embeddings.make WEIGHTS FILE makes one"
    try:
        found = load_file(file)
    except (OSError, SafetensorError) as error:
        raise DataError("text embeddings cannot be read", where=str(file), found=str(error), fix=fix) from error
    shapes = {tuple(vector.shape) for vector in found.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise DataError("text embeddings are vectors of one length", where=str(file), found=sorted(shapes) or "none", fix=fix)
    return found

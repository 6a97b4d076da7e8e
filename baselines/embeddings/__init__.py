"""Text embeddings of anatomical structures, made ahead of time (make.py), so that no run needs a language model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

FILE = Path(__file__).with_name("structures.safetensors")
LENGTH = 384
GRAM = 3  # letters


def text_embedding(structures: Sequence[str]) -> Tensor:
    """(384,) float32 of length one: of a structure, or the mean of several that one label stands for.

    A structure that the file does not have (a dataset's own, such as a target volume) gets `hashed_embedding`, which knows no meaning.
    """
    known = _shipped()
    vectors = [known[name].float() if name in known else hashed_embedding(name) for name in structures]
    return F.normalize(torch.stack(vectors).mean(0), dim=0)


def hashed_embedding(name: str) -> Tensor:
    """(384,) of length one: counts of a name's three-letter pieces at places, and with signs, that their hashes decide.

    Similar spellings get similar vectors. It stands in where no language model has seen a name.
    """
    vector, text = torch.zeros(LENGTH), f"^{name.lower()}$"
    for start in range(max(len(text) - GRAM + 1, 1)):
        digest = hashlib.sha256(text[start : start + GRAM].encode()).digest()
        vector[int.from_bytes(digest[:4], "big") % LENGTH] += 1.0 if digest[4] % 2 else -1.0
    return F.normalize(vector, dim=0)


@cache
def fingerprint() -> str:
    """Of the shipped file."""
    return hashlib.sha256(FILE.read_bytes()).hexdigest()


@cache
def _shipped() -> dict[str, Tensor]:
    return load_file(FILE)

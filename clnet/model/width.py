"""How wide a decoder is: rules from the number of its structures to the features of its finest block."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Same:
    """Every decoder alike; None: as wide as the encoder, nnU-Net's full decoder."""

    features: int | None = None

    def __call__(self, structures: int) -> int | None:
        return self.features


@dataclass(frozen=True)
class SquareRoot:
    """Features that grow with the square root of the number of structures, in steps of `multiple`, between two limits.

    Weights grow with the square of the features, so this gives every structure about the same number of weights. With 8 a structure,
    1 structure gets 8 features, 2 get 12, 4 get 16, 10 get 28, 16 or more get 32.
    Source: none; CL-Net 4.5 and A6 speak of a rule for the base number of features and do not give it (NOTES.md 6).
    """

    per_structure: float = 8.0
    smallest: int = 8
    largest: int = 32
    multiple: int = 4

    def __call__(self, structures: int) -> int:
        wanted = math.ceil(self.per_structure * math.sqrt(structures) / self.multiple) * self.multiple
        return min(max(wanted, self.smallest), self.largest)

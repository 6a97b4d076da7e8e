"""Structures that exclude each other, in one label map: every part claims voxels, the surest claim holds each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from clnet.infer.merge import voxel_entropy
from clnet.types import Part

LEVELS = 255  # of a probability, as `confidence` holds it
_PRODUCTS = 2 * LEVELS * LEVELS  # M * Y in units of 1 / 130050 is a whole number: M = (510 - lesion) / 510, Y = confidence / 255


@cache
def entropy_order() -> np.ndarray:
    """(130051,) uint32: place of each M * Y = n / 130050 when all are sorted from the greatest entropy H to the smallest.

    M and Y are multiples of 1/510 and 1/255, so two entropies are equal only where their n are (x log x takes no value twice among
    them), and these places decide exactly, where float32 would call entropies near their maximum equal.
    """
    entropy = voxel_entropy(1.0, np.arange(_PRODUCTS + 1) / _PRODUCTS)
    order = np.empty(_PRODUCTS + 1, np.uint32)
    order[np.argsort(-entropy, kind="stable")] = np.arange(_PRODUCTS + 1)
    return order


def claim_strength(confidence: np.ndarray, lesion_confidence: np.ndarray | int, in_range: bool, least: int) -> np.ndarray:
    """How strong each voxel's claim is, as whole numbers: equal only where both H and the probability are.

    confidence: uint8, 255 * Y; lesion_confidence: uint8 of the same shape (or 0), 255 * Y of the claimant's own lesion; in_range: B,
    whether the slice lies inside the claimant's body part range; least: confidence from which a claim counts as a candidate.
    Returns uint32 of the same shape. From the strongest to the weakest:

    1. candidates (Y >= 1/2): the smaller H, then the greater Y (equations (8)-(11); note 19).
    2. weaker claims, by M * Y. Without candidates for the voxel they are all there is: in a softmax over many labels the likeliest
       one may have less than 1/2, and to remove it would shrink the structure and tear gaps between touching ones. H would prefer
       the less probable below 1/e, hence M * Y.
    3. lesions outside the range of their organ (M = 1/2), by M * Y: any organ wins (note 21). Against candidates (8)-(11) say so too.
    """
    level = confidence.astype(np.uint32)
    if not in_range:
        product = strength = LEVELS * level
    else:
        product = (2 * LEVELS - np.asarray(lesion_confidence, np.uint32)) * level
        weak = product + np.uint32(_PRODUCTS + 1)
        strength = np.where(level >= least, entropy_order()[product] + np.uint32(2 * _PRODUCTS + 2), weak)
    return strength << np.uint32(8) | level  # 19 and 8 bits


def labelled_slices(label_map: np.ndarray) -> np.ndarray:
    """(z,) bool: the slices of a (z, y, x) label map that hold any label."""
    return label_map.reshape(len(label_map), -1).max(axis=1, initial=0) > 0  # the maximum is vectorised, `any` is not


class ExclusiveSet:
    """Takes the claims of its parts in any order and holds each voxel's winner in `values`, (z, y, x) uint8 or uint16.

    parts: all that will come; their labels are numbered from 1 in this order, `names` gives value -> label name. threshold: least
    probability of a candidate. Equal claims go to the part that comes first in `parts`, so the order of claiming does not matter.
    Holds 5 or 6 bytes a voxel however many parts there are, and 1 or 2 after `close`. Source: CL-Net 4.4, equations (10)-(11).
    """

    def __init__(self, parts: Sequence[Part], shape_zyx: Sequence[int], threshold: float):
        self.least = int(np.rint(LEVELS * threshold))
        self.names: dict[int, str] = {}
        self.first: dict[str, int] = {}
        self.planes: dict[str, list[int]] = {}  # where each part claims anything
        for part in parts:
            self.first[part.name] = len(self.names) + 1
            self.names |= {len(self.names) + 1 + index: label.name for index, label in enumerate(part.labels)}
        self.values = np.zeros(tuple(shape_zyx), np.min_scalar_type(len(self.names)))
        self.strength: np.ndarray | None = np.zeros(tuple(shape_zyx), np.uint32)  # of the winner; 0 where nobody claims the voxel

    def claim(
        self, part: Part, label_map: np.ndarray, confidence: np.ndarray | None, in_range: np.ndarray, lesion: Mapping[int, np.ndarray]
    ) -> None:
        """label_map: (z, y, x), i + 1 for the part's label i; confidence: uint8 of the same shape, 255 without; in_range: (z,) bool;
        lesion: slice -> (y, x) uint8, 255 times the probability of the part's own lesion, where there is any."""
        offset = self.values.dtype.type(self.first[part.name] - 1)
        self.planes[part.name] = np.flatnonzero(labelled_slices(label_map)).tolist()
        for z in self.planes[part.name]:
            labels = label_map[z].ravel()
            at = np.flatnonzero(labels != 0)
            level = np.full(len(at), LEVELS, np.uint8) if confidence is None else confidence[z].ravel()[at]
            strength = claim_strength(level, lesion[z].ravel()[at] if z in lesion else 0, bool(in_range[z]), self.least)
            value = labels[at].astype(self.values.dtype) + offset
            best, winner = self.strength[z].reshape(-1), self.values[z].reshape(-1)
            before = best[at]
            wins = (strength > before) | ((strength == before) & (value < winner[at]))
            best[at[wins]], winner[at[wins]] = strength[wins], value[wins]

    def close(self) -> None:
        """No claims will follow: let go of the strengths."""
        self.strength = None

    def numbers(self, part: Part) -> np.ndarray:
        """Value in this set -> label number of the part, 0 for what is not its own."""
        numbers = np.zeros(len(self.names) + 1, np.min_scalar_type(len(part.labels)))
        first = self.first[part.name]
        numbers[first : first + len(part.labels)] = np.arange(1, len(part.labels) + 1)
        return numbers

    def label_map(self, part: Part) -> np.ndarray:
        """(z, y, x) uint8 or uint16 in the part's own numbers: the voxels that it won."""
        numbers = self.numbers(part)
        won = np.zeros(self.values.shape, numbers.dtype)
        for z in self.planes.get(part.name, ()):
            won[z] = numbers[self.values[z]]
        return won

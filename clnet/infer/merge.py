"""Weights and entropies that decide between the predictions of several decoders, as pure functions."""

from __future__ import annotations

import numpy as np

from clnet.infer.bodypart import body_part_range

__all__ = ["body_part_range", "lesion_weight", "voxel_entropy"]


def lesion_weight(body_part_mask: np.ndarray, lesion_probability: np.ndarray | float) -> np.ndarray:
    """Weight M of a structure: 1 inside its body part range where there is no lesion, down to 0.5 outside or under a certain lesion.

    body_part_mask: B, 1 on the slices inside the structure's range, else 0; lesion_probability: Y of the structure's lesion, in [0, 1].
    Any shapes that broadcast, such as (z, 1, 1) or (z, y, x) with (z, y, x). Returns M in [0.5, 1], as a float.
    Source: CL-Net 4.4, equation (8): M = J - 1/2 (J - B + Y * B).
    """
    inside, lesion = _floating(body_part_mask), _floating(lesion_probability)
    return 1 - 0.5 * (1 - inside + lesion * inside)


def voxel_entropy(weight: np.ndarray | float, probability: np.ndarray) -> np.ndarray:
    """Entropy H of a prediction under its weight, in nats: 0 where it is certain or absent, 1/e at most (where M * Y = 1/e).

    weight: M of `lesion_weight`; probability: Y, in [0, 1]; shapes that broadcast. Returns H as a float.
    Source: CL-Net 4.4, equation (9): H = -(M * Y) log(M * Y), continued by 0 at M * Y = 0.
    """
    weighted = np.asarray(_floating(weight) * _floating(probability))
    logarithm = np.log(weighted, out=np.zeros_like(weighted), where=weighted > 0)
    return 0.0 - weighted * logarithm


def _floating(values: np.ndarray | float) -> np.ndarray:
    values = np.asarray(values)
    return values.astype(np.result_type(values, np.float32), copy=False)

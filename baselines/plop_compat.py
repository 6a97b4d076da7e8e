"""The thresholds of pseudo-labels as PLOP's published code has them, two slips included, to repeat its numbers.

Written from a description of that code. It normalises the entropy twice more than its paper says, and looks for the median in a histogram
whose running sum adds the bins' indices in the place of their counts. `baselines.plop` by itself takes the median.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

BINS = 100  # of [0, 1]
ACCEPTS_ALL = 2.0  # a threshold above every entropy, in the place of an infinite one


def official_entropy(logits: Tensor, classes: int) -> Tensor:
    """Mean of -p ln p over the old classes, over ln(old classes), over ln(classes): at most 1 / (old classes ln(classes)).

    logits: (batch, old class, z, y, x), the background among them; classes: old, new and the background. Returns (batch, z, y, x).
    Source: Douillard et al. 2021, code; eq. 9 of the paper has the sum over classes and one normalisation.
    """
    log_probability = F.log_softmax(logits, dim=1)
    return -(log_probability.exp() * log_probability).mean(1) / math.log(logits.shape[1]) / math.log(classes)


def official_threshold(entropy: Tensor) -> float:
    """What the code takes for the median of one class's `official_entropy`, (voxel,).

    In a histogram of 100 bins: the first bin in which half of the voxels lies between the running sum and the running sum plus the bin's
    count, divided linearly. Where the first bin holds everything this is 0.005, which is above every entropy once
    (old classes) ln(classes) exceeds 200, from 51 classes on. Where no bin fits, the last one is divided: by its count of nought, mostly,
    which accepts all voxels if there are more than 9,900 and none if there are fewer.
    """
    counts = torch.bincount((entropy * BINS).long().clamp_max(BINS - 1), minlength=BINS).tolist()
    half, running = len(entropy) / 2, 0
    for index in range(BINS):
        if running <= half <= running + counts[index]:
            break
        running += index
    above = half - running
    if not counts[index]:
        return ACCEPTS_ALL if above > 0 else 0.0
    return (index + above / counts[index]) / BINS

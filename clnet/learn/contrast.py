"""Self-supervised losses without negative pairs, and a measure of whether the features have collapsed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """Negative cosine similarity, averaged over the batch; no gradient reaches the target.

    prediction: (batch, features) output of the predictor head.
    target: (batch, features) projection of the other view.
    Returns a scalar in [-1, 1].
    Source: Chen & He 2021 (SimSiam), eq. 1.
    """
    return -F.cosine_similarity(prediction, target.detach(), dim=1).mean()


def symmetric_loss(predictions: tuple[Tensor, Tensor], projections: tuple[Tensor, Tensor]) -> Tensor:
    """Each view's prediction against the other view's projection, half of each.

    All four are (batch, features). Returns a scalar in [-1, 1].
    Source: Chen & He 2021, eq. 2; CL-Net Algorithm 1 with NOTES.md 15 (its listing leaves the stopped gradient out).
    """
    (first_prediction, second_prediction), (first, second) = predictions, projections
    return 0.5 * negative_cosine(first_prediction, second) + 0.5 * negative_cosine(second_prediction, first)


def feature_spread(features: Tensor) -> Tensor:
    """How far features are spread over the sphere: 1 where they are isotropic, 0 where all samples have the same direction.

    features: (sample, feature). The standard deviation over samples of every feature of the normalised vectors, averaged, times the
    root of the number of features. Returns a scalar from 0 to about 1; no gradient. NaN for fewer than two samples.
    Source: Chen & He 2021, 4.1 and Figure 2 (1 / sqrt(d) for a Gaussian output, 0 for a collapsed one).
    """
    if len(features) < 2:
        return features.new_tensor(torch.nan)
    normalised = F.normalize(features.detach().float(), dim=1)
    return normalised.std(dim=0, correction=0).mean() * features.shape[1] ** 0.5

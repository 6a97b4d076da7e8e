"""What stands on the encoder while it learns from two views of a scan, and is dropped afterwards."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from clnet.model.encoder import Encoder


class Views(NamedTuple):
    """Of one view: projection and prediction, (batch, features) each."""

    projection: Tensor
    prediction: Tensor


class Siamese(nn.Module):
    """An encoder whose last features, averaged over the patch, go through a projection MLP and then a prediction MLP.

    hidden: features of the projection, in all of its three layers; bottleneck: of the predictor's hidden layer.
    Both views pass through the same weights. Batches of one sample have no batch statistics: ValueError in training.
    Source: Chen & He 2021 (SimSiam), section 3 and its baseline settings: batch normalisation in every layer of the projection, without
    an affine part in the last one, and in the predictor's hidden layer.
    """

    def __init__(self, encoder: Encoder, hidden: int, bottleneck: int):
        super().__init__()
        width = encoder.shape.features[-1]
        self.encoder = encoder
        self.projector = nn.Sequential(
            *_layer(width, hidden), *_layer(hidden, hidden), nn.Linear(hidden, hidden, bias=False), nn.BatchNorm1d(hidden, affine=False)
        )
        self.predictor = nn.Sequential(*_layer(hidden, bottleneck), nn.Linear(bottleneck, hidden))

    def forward(self, image: Tensor) -> Views:
        """image: (batch, channel, z, y, x)."""
        projection = self.projector(self.encoder(image)[-1].mean((2, 3, 4)))
        return Views(projection, self.predictor(projection))


def _layer(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)

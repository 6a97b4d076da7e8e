"""Weights from one network to another of nearly the same shape: with other heads, with supporters, with more input channels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder


def copy_decoder(source: DecoderNetwork, target: DecoderNetwork, heads: bool = True) -> None:
    """Give the target the source's weights; what the target has beside them keeps its own, and inputs from it begin at zero.

    So a decoder that gains supporters computes at first what the source computed. heads False: the target keeps its heads.
    """
    state = {name: value for name, value in source.state_dict().items() if heads or not name.startswith("heads.")}
    _copy(state, target)


def copy_encoder(source: Encoder, target: Encoder) -> None:
    """Give an encoder of more input channels the weights of one with fewer; the additional channels begin at zero."""
    _copy(source.state_dict(), target)


def _copy(state: Mapping[str, Tensor], target: nn.Module) -> None:
    own = target.state_dict()
    target.load_state_dict({**own, **{name: _with_more_inputs(value, own[name]) for name, value in state.items()}})


def _with_more_inputs(weight: Tensor, place: Tensor) -> Tensor:
    """`weight`, with zeros for the input channels that only `place` has."""
    if weight.shape == place.shape:
        return weight
    wider = torch.zeros_like(place)
    wider[:, : weight.shape[1]] = weight
    return wider

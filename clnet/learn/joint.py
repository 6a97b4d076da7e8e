"""A quick start for an encoder: one decoder of all labels of the first dataset, out of which every anatomy's own decoder is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from clnet.data.store import PreparedCase
from clnet.errors import DataError, UsageError
from clnet.learn.target import DecoderTarget, output_channels
from clnet.model.decoder import DecoderNetwork
from clnet.model.shape import NetworkShape
from clnet.types import Decoder, Label

JOINT = "joint"


def complete(labels: Sequence[Label], cases: Sequence[PreparedCase]) -> tuple[PreparedCase, ...]:
    """The cases that annotate every label: in others, what is not annotated would be learned as background.

    Raises DataError when there is none.
    """
    wanted = {label.name for label in labels}
    found = tuple(case for case in cases if wanted <= case.annotated)
    if not found:
        raise DataError("no training case annotates all labels, which a joint start needs", where=cases[0].dataset if cases else "no cases",
                        expected=", ".join(sorted(wanted)), fix="set scale.joint_start=false")  # fmt: skip
    return found


def joint_target(labels: Sequence[Label], cases: Sequence[PreparedCase]) -> DecoderTarget:
    """One softmax over all labels; where labels overlap, the one with fewer voxels in `cases` keeps a voxel."""
    size = {label.name: sum(case.voxels.get(label.name, 0) for case in cases) for label in labels}
    ordered = sorted(labels, key=lambda label: -size[label.name])  # encoded in this order, so the smallest comes last and stays
    decoder = Decoder(JOINT, "", tuple(label.name for label in ordered))
    return DecoderTarget(decoder, tuple(Label(label.name, (label.name,), label.values, label.files) for label in ordered))


def decoder_of_joint(
    network: DecoderNetwork, joint: DecoderTarget, target: DecoderTarget, shape: NetworkShape, make: Callable[[], DecoderNetwork]
) -> DecoderNetwork:
    """A decoder of its own weights: a copy of the joint one whose heads keep the rows of the target's labels and of the background.

    make: an untrained decoder for the target, as wide as the joint one (UsageError where it is not).

    A label's probability is divided among its structures, and the background's among what the dataset does not annotate. What the
    joint decoder held to be another organ is new to the copy's background: it has to be refined.
    """
    rows, shared = _rows(joint, target)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    for level in range(len(network.heads)):
        weight, bias = state[f"heads.{level}.weight"], state[f"heads.{level}.bias"]
        new_weight, new_bias = weight[rows], bias[rows]
        if target.decoder.nested:  # the logit of a structure alone, against the background
            new_weight, new_bias = new_weight - weight[0], new_bias - bias[0]
        elif level == len(network.heads) - 1 or not shape.summed_logits:
            new_bias = new_bias - torch.tensor(shared).log()
        state[f"heads.{level}.weight"], state[f"heads.{level}.bias"] = new_weight, new_bias
    own = make()
    try:
        own.load_state_dict(state)
    except RuntimeError as error:
        raise UsageError("decoders of a joint start are all as wide as the joint one", where=target.decoder.name,
                         fix="decoder=default, or scale.joint_start=false") from error
    return own


def _rows(joint: DecoderTarget, target: DecoderTarget) -> tuple[list[int], list[float]]:
    """Row of the joint head for every output channel of the target's decoder, and how many channels share it."""
    names = [label.name for label in joint.labels]
    row_of_group = [0, *(names.index(label.name) + 1 for label in target.labels)]
    rows, shared = [0] * output_channels(target.decoder), [1.0] * output_channels(target.decoder)
    for group, row in zip(target.groups, row_of_group, strict=True):
        for channel in group:
            place = channel - 1 if target.decoder.nested else channel
            if place >= 0:
                rows[place], shared[place] = row, float(len(group))
    return rows, shared

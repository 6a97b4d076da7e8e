"""P1: one encoder pass and ten narrow decoders, against ten whole U-Nets of nnU-Net's form."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from statistics import median

import torch
from torch import Tensor

from baselines.unet import UNet
from benchmarks.contest import Result, agreement, alternate, speedup
from benchmarks.paper import SMALL, Place, operations, paper_shape, with_seed
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.shape import NetworkShape

CLASSES = 3
SIZES = {"full": (64, 10, 3, {16: 3.3, 8: 6.0}), "small": (16, 3, 1, {4: 3.3, 2: 6.0})}  # edge, decoders, repeats, goal by width


def run(size: str = "full") -> list[Result]:
    """A result for each width of the decoders."""
    edge, count, repeats, goals = SIZES[size]
    shape = paper_shape() if size == "full" else SMALL
    return contest("P1", f"{edge}^3 voxels", shape, (1, 1, edge, edge, edge), count, repeats, goals, Place(), 1e-5)


@torch.inference_mode()
def contest(
    key: str, workload: str, shape: NetworkShape, images: tuple[int, ...], count: int, repeats: int, goals: Mapping[int, float],
    place: Place, tolerance: float,
) -> list[Result]:  # fmt: skip
    """A result for each width of the decoders in `goals`. images: (batch, channel, z, y, x) of random ones; tolerance: of logits."""
    image = with_seed(lambda: torch.randn(images)).to(place.device)
    encoder = place.ready(with_seed(lambda: Encoder(shape))).eval()
    rivals = [place.ready(with_seed(lambda: UNet(shape, 1, CLASSES, None), seed)).eval() for seed in range(count)]
    banks = {width: [place.ready(with_seed(lambda w=width: DecoderNetwork(shape, CLASSES, w), seed)).eval() for seed in range(count)]
             for width in goals}  # fmt: skip
    sides = {f"D{width}": lambda bank=bank: _encode_once(encoder, bank, image) for width, bank in banks.items()}
    sides["whole"] = lambda: [network(image).logits[0] for network in rivals]
    sides = {name: partial(place.finished, side) for name, side in sides.items()}
    with place.precision():
        equal = {width: _agree(encoder, bank, rivals[0], image, tolerance) for width, bank in banks.items()}
    work = {side: operations(run_side) for side, run_side in sides.items()}
    times = alternate(sides, repeats)
    return [
        Result(key, f"{workload}, {count} decoders of {CLASSES} classes{place.words}", f"encode once + {count} D{width}",
               f"{count} whole U-Nets, D{shape.features[0]}", speedup(times, f"D{width}", "whole"), goal, True, equal[width],
               f"the rival's convolutions do x{work['whole'] / work[f'D{width}']:.2f} the operations",
               median(times[f"D{width}"]), median(times["whole"]))
        for width, goal in goals.items()
    ]  # fmt: skip


def _encode_once(encoder: Encoder, bank: list[DecoderNetwork], image: Tensor) -> list[Tensor]:
    encoded = encoder(image)
    return [decoder(encoded).logits[0] for decoder in bank]


def _agree(encoder: Encoder, bank: list[DecoderNetwork], rival: UNet, image: Tensor, tolerance: float) -> str:
    """One pass for all gives what a pass for each gives, and a U-Net is an encoder with a full-width decoder and no more."""
    apart = [float((own - decoder(encoder(image)).logits[0]).abs().max())
             for own, decoder in zip(_encode_once(encoder, bank, image), bank, strict=True)]  # fmt: skip
    apart.append(float((rival.decoder(rival.encoder(image)).logits[0] - rival(image).logits[0]).abs().max()))
    return agreement("logits of one encoder pass for all and of one for each decoder", max(apart), tolerance)

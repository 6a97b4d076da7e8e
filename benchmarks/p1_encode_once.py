"""P1: one encoder pass and ten narrow decoders, against ten whole U-Nets of nnU-Net's form."""

from __future__ import annotations

from statistics import median

import torch
from torch import Tensor

from baselines.unet import UNet
from benchmarks.contest import Result, agreement, alternate, speedup
from benchmarks.paper import SMALL, operations, paper_shape, ready, with_seed
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder

CLASSES = 3
SIZES = {"full": (64, 10, 3, {16: 3.3, 8: 6.0}), "small": (16, 3, 1, {4: 3.3, 2: 6.0})}  # edge, decoders, repeats, goal by width


@torch.inference_mode()
def run(size: str = "full") -> list[Result]:
    """A result for each width of the decoders."""
    edge, count, repeats, goals = SIZES[size]
    shape = paper_shape() if size == "full" else SMALL
    image = with_seed(lambda: torch.randn(1, 1, edge, edge, edge))
    encoder = ready(with_seed(lambda: Encoder(shape))).eval()
    rivals = [ready(with_seed(lambda: UNet(shape, 1, CLASSES, None), seed)).eval() for seed in range(count)]
    banks = {width: [ready(with_seed(lambda w=width: DecoderNetwork(shape, CLASSES, w), seed)).eval() for seed in range(count)]
             for width in goals}  # fmt: skip
    sides = {f"D{width}": lambda bank=bank: _encode_once(encoder, bank, image) for width, bank in banks.items()}
    sides["whole"] = lambda: [network(image).logits[0] for network in rivals]
    equal = {width: _agree(encoder, bank, rivals[0], image) for width, bank in banks.items()}
    work = {side: operations(run_side) for side, run_side in sides.items()}
    times = alternate(sides, repeats)
    return [
        Result("P1", f"{edge}^3 voxels, {count} decoders of {CLASSES} classes", f"encode once + {count} D{width}",
               f"{count} whole U-Nets, D{shape.features[0]}", speedup(times, f"D{width}", "whole"), goal, True, equal[width],
               f"the rival's convolutions do x{work['whole'] / work[f'D{width}']:.2f} the operations",
               median(times[f"D{width}"]), median(times["whole"]))
        for width, goal in goals.items()
    ]  # fmt: skip


def _encode_once(encoder: Encoder, bank: list[DecoderNetwork], image: Tensor) -> list[Tensor]:
    encoded = encoder(image)
    return [decoder(encoded).logits[0] for decoder in bank]


def _agree(encoder: Encoder, bank: list[DecoderNetwork], rival: UNet, image: Tensor) -> str:
    """One pass for all gives what a pass for each gives, and a U-Net is an encoder with a full-width decoder and no more."""
    apart = [float((own - decoder(encoder(image)).logits[0]).abs().max())
             for own, decoder in zip(_encode_once(encoder, bank, image), bank, strict=True)]  # fmt: skip
    apart.append(float((rival.decoder(rival.encoder(image)).logits[0] - rival(image).logits[0]).abs().max()))
    return agreement("logits of one encoder pass for all and of one for each decoder", max(apart), 1e-5)

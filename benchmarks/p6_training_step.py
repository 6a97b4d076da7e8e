"""P6: a training step of a decoder on the frozen encoder, or on its stored features, against a step of a whole U-Net."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn

from baselines.unet import UNet
from benchmarks.contest import Result, agreement, alternate, speedup
from benchmarks.paper import SMALL, Place, as_in_nnunet, operations, paper_shape, with_seed
from clnet.learn.target import DecoderTarget
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.shape import NetworkShape
from clnet.types import Decoder, Label

STRUCTURES = ("Kidney_L", "Kidney_R")
TARGET = DecoderTarget(Decoder("Kidneys", "Abdomen", STRUCTURES), tuple(Label(name, (name,)) for name in STRUCTURES))
SIZES = {"full": (64, 16, 3), "small": (16, 2, 1)}  # edge, width of the narrow decoder, repeats
CLIP_NORM = 12.0
SGD = partial(torch.optim.SGD, momentum=0.99, nesterov=True, weight_decay=3e-5)  # nnU-Net's
LR = 1e-3
STORED = ("; the features lie in memory, made once from patches that are not augmented; the project keeps them between the decoders of a "
          "validation, not in training, where it augments")  # fmt: skip


def run(size: str = "full") -> list[Result]:
    """Three results: a narrow decoder, one on stored features, and a full one."""
    edge, narrow, repeats = SIZES[size]
    shape = paper_shape() if size == "full" else SMALL
    goals = [("frozen", f"frozen encoder + D{narrow}", 4.5, ""), ("stored", f"stored features + D{narrow}", 7.0, STORED),
             ("full", f"frozen encoder + D{shape.features[0]}", 2.4, "")]  # fmt: skip
    return contest("P6", f"one patch of {edge}^3", shape, (1, 1, edge, edge, edge), narrow, repeats, goals, Place(), 1e-4)


def contest(
    key: str, workload: str, shape: NetworkShape, images: tuple[int, ...], narrow: int, repeats: int,
    goals: Sequence[tuple[str, str, float, str]], place: Place, tolerance: float,
) -> list[Result]:  # fmt: skip
    """A result for each side in `goals`: its name, in words, its goal, more of a note. images: (batch, channel, z, y, x) of random ones;
    narrow: width of the narrow decoder; tolerance: of losses.
    """
    full, (batch, _, *zyx) = shape.features[0], images
    image = with_seed(lambda: torch.randn(images)).to(place.device)
    labels = with_seed(lambda: torch.randint(0, 1 + len(STRUCTURES), (batch, *zyx)).to(torch.uint8)).to(place.device)
    encoder = place.ready(with_seed(lambda: Encoder(shape))).eval().requires_grad_(False)
    with torch.no_grad(), place.precision():
        stored = encoder(image)
    decoders = {side: place.ready(with_seed(lambda w=width: DecoderNetwork(shape, 1 + len(STRUCTURES), w), 1)).train()
                for side, width in (("frozen", narrow), ("stored", narrow), ("full", full))}  # fmt: skip
    unet = place.ready(with_seed(lambda: UNet(shape, 1, 1 + len(STRUCTURES), None))).train()
    networks = {**decoders, "own": unet, "nnunet": as_in_nnunet(unet)}
    forward: dict[str, Callable[[], list[Tensor]]] = {
        "frozen": lambda: decoders["frozen"](_frozen(encoder, image)).logits, "stored": lambda: decoders["stored"](stored).logits,
        "full": lambda: decoders["full"](_frozen(encoder, image)).logits, "own": lambda: unet(image).logits,
        "nnunet": lambda: networks["nnunet"](image).logits,
    }  # fmt: skip
    steps = {side: partial(step, forward[side], SGD(network.parameters(), lr=LR), labels, place) for side, network in networks.items()}
    first = {side: run_side() for side, run_side in steps.items()}
    apart = max(abs(first["frozen"] - first["stored"]), abs(first["own"] - first["nnunet"]))
    equal = agreement("losses of a step with and without encoding, and of a U-Net of either kind of layers", apart, tolerance)
    work = {side: operations(run_side) for side, run_side in steps.items()}
    times = alternate(steps, repeats)
    note = ("x{:.2f} against a whole U-Net of the project's own layers; its convolutions do x{:.2f} the operations, and only slower "
            "layers of the rival or a cheaper decoder can give more than that")  # fmt: skip
    return [
        Result(key, f"training step, {workload}{place.words}", ours, f"whole U-Net, D{full}, nnU-Net's layers",
               speedup(times, side, "nnunet"), goal, True, equal,
               note.format(speedup(times, side, "own"), work["own"] / work[side]) + more, median(times[side]), median(times["nnunet"]))
        for side, ours, goal, more in goals
    ]  # fmt: skip


@torch.no_grad()
def _frozen(encoder: Encoder, image: Tensor) -> list[Tensor]:
    return encoder(image)


def step(forward: Callable[[], list[Tensor]], optimizer: torch.optim.Optimizer, labels: Tensor, place: Place) -> float:
    """Forward with deep supervision, Dice and cross-entropy, backward, clipping, nnU-Net's SGD; returns the loss."""
    optimizer.zero_grad(set_to_none=True)
    with place.precision():
        loss = TARGET.loss(forward(), labels, torch.ones(len(labels), dtype=torch.bool, device=place.device))
    loss.backward()
    nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], CLIP_NORM)
    optimizer.step()
    return loss.item()

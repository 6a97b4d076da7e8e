"""P6: a training step of a decoder on the frozen encoder, or on its stored features, against a step of a whole U-Net."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn

from baselines.unet import UNet
from benchmarks.contest import Result, agreement, alternate, speedup
from benchmarks.paper import SMALL, as_in_nnunet, operations, paper_shape, ready, with_seed
from clnet.learn.target import DecoderTarget
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.types import Decoder, Label

STRUCTURES = ("Kidney_L", "Kidney_R")
TARGET = DecoderTarget(Decoder("Kidneys", "Abdomen", STRUCTURES), tuple(Label(name, (name,)) for name in STRUCTURES))
SIZES = {"full": (64, 16, 3), "small": (16, 2, 1)}  # edge, width of the narrow decoder, repeats
CLIP_NORM = 12.0
STORED = ("; the features lie in memory, made once from patches that are not augmented; the project keeps them between the decoders of a "
          "validation, not in training, where it augments")  # fmt: skip


def run(size: str = "full") -> list[Result]:
    """Three results: a narrow decoder, one on stored features, and a full one."""
    edge, narrow, repeats = SIZES[size]
    shape = paper_shape() if size == "full" else SMALL
    full = shape.features[0]
    image = with_seed(lambda: torch.randn(1, 1, edge, edge, edge))
    labels = with_seed(lambda: torch.randint(0, 1 + len(STRUCTURES), (1, edge, edge, edge)).to(torch.uint8))
    encoder = ready(with_seed(lambda: Encoder(shape))).eval().requires_grad_(False)
    stored = encoder(image)
    decoders = {side: ready(with_seed(lambda w=width: DecoderNetwork(shape, 1 + len(STRUCTURES), w), 1)).train()
                for side, width in (("frozen", narrow), ("stored", narrow), ("full", full))}  # fmt: skip
    unet = ready(with_seed(lambda: UNet(shape, 1, 1 + len(STRUCTURES), None))).train()
    networks = {**decoders, "own": unet, "nnunet": as_in_nnunet(unet)}
    forward: dict[str, Callable[[], list[Tensor]]] = {
        "frozen": lambda: decoders["frozen"](_frozen(encoder, image)).logits, "stored": lambda: decoders["stored"](stored).logits,
        "full": lambda: decoders["full"](_frozen(encoder, image)).logits, "own": lambda: unet(image).logits,
        "nnunet": lambda: networks["nnunet"](image).logits,
    }  # fmt: skip
    steps = {side: partial(_step, forward[side], _optimizer(network), labels) for side, network in networks.items()}
    first = {side: step() for side, step in steps.items()}
    apart = max(abs(first["frozen"] - first["stored"]), abs(first["own"] - first["nnunet"]))
    equal = agreement("losses of a step with and without encoding, and of a U-Net of either kind of layers", apart, 1e-4)
    work = {side: operations(step) for side, step in steps.items()}
    times = alternate(steps, repeats)
    note = ("x{:.2f} against a whole U-Net of the project's own layers; its convolutions do x{:.2f} the operations, and only slower "
            "layers of the rival or a cheaper decoder can give more than that")  # fmt: skip
    return [
        Result("P6", f"training step, one patch of {edge}^3", ours, f"whole U-Net, D{full}, nnU-Net's layers",
               speedup(times, side, "nnunet"), goal, True, equal,
               note.format(speedup(times, side, "own"), work["own"] / work[side]) + more, median(times[side]), median(times["nnunet"]))
        for side, ours, goal, more in (("frozen", f"frozen encoder + D{narrow}", 4.5, ""),
                                       ("stored", f"stored features + D{narrow}", 7.0, STORED),
                                       ("full", f"frozen encoder + D{full}", 2.4, ""))
    ]  # fmt: skip


@torch.no_grad()
def _frozen(encoder: Encoder, image: Tensor) -> list[Tensor]:
    return encoder(image)


def _optimizer(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.99, nesterov=True, weight_decay=3e-5)


def _step(forward: Callable[[], list[Tensor]], optimizer: torch.optim.Optimizer, labels: Tensor) -> float:
    """Forward with deep supervision, Dice and cross-entropy, backward, clipping, nnU-Net's SGD; returns the loss."""
    optimizer.zero_grad(set_to_none=True)
    loss = TARGET.loss(forward(), labels, torch.tensor([True]))
    loss.backward()
    nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], CLIP_NORM)
    optimizer.step()
    return loss.item()

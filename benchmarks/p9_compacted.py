"""P9: a decoder of the phantom pruned by whole channels, without its dead channels, against the unpruned one."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from statistics import median

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor

from benchmarks.contest import Result, agreement, alternate, speedup
from benchmarks.paper import SCALES
from clnet.learn.archive import LearnedDecoder
from clnet.learn.clnet import CLNet
from clnet.learn.decoder import Assignment, train_decoder
from clnet.learn.progress import RunProgress
from clnet.learn.target import decoder_variants
from clnet.learn.ticket import draw_ticket
from clnet.model.block import with_fast_layout
from clnet.model.compact import CompactDecoder
from clnet.model.cost import multiply_adds
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.mask import apply_masks
from clnet.model.structured import WholeChannels
from clnet.types import Task
from clnet.units import UnitStore
from experiments import pipeline

DECODERS = ("Liver", "A_Aorta")
LR_EXPONENT = "pruning.lr_exponent=0.5"  # fewer weights learn with larger steps at scale=tiny, as in conf/pruning/short.yaml
LIMIT, RATE = 1e-4, 0.75  # of the logits; of random weights, share removed
TRAINED = ("`pruning=structured` on the phantom's whole-body dataset, rounds stopped at 1 point of validation DSC; encoder, training and "
           "rounds are units of `paths.units`: built at the first call, in about twenty minutes, and read later")  # fmt: skip


@dataclass(frozen=True)
class Contestants:
    """dense: the unpruned decoder; masked: its pruned form as training has it; encoded: features of a batch of windows.

    In 32 bits the masked network itself can be 2e-4 off what it computes in 64, by the normalisation of its large channels-last maps;
    so the compact one, which is closer, is compared with it in 64 bits.
    """

    workload: str
    dense: DecoderNetwork
    masked: DecoderNetwork
    encoded: list[Tensor]
    note: str


def run(size: str = "full") -> list[Result]:
    """One result a decoder; small: one of random weights."""
    threads = torch.get_num_threads()
    config = _config()
    contestants = [_random(config)] if size == "small" else _trained(config)
    torch.set_num_threads(threads)  # trainings have set their own
    return [_contest(each, 3 if size == "small" else 15) for each in contestants]


@torch.inference_mode()
def _contest(each: Contestants, repeats: int) -> Result:
    small = with_fast_layout(CompactDecoder(each.masked, []), "cpu")
    dense, masked = (with_fast_layout(network.eval(), "cpu") for network in (each.dense, each.masked))
    logits, expected = (network(each.encoded).logits[0] for network in (small, masked))
    assert torch.equal(logits.argmax(1), expected.argmax(1)), "labels differ"
    exact = copy.deepcopy(each.masked).double()([features.double() for features in each.encoded]).logits[0]
    equal = agreement("labels equal; logits, to the masked network in 64 bits", float((logits - exact).abs().max()), LIMIT)
    times = alternate({"compact": lambda: small(each.encoded), "dense": lambda: dense(each.encoded)}, repeats)
    fewer = multiply_adds(dense, each.encoded)[0] / multiply_adds(small, each.encoded)[0]
    return Result("P9", each.workload, "compact", "dense", speedup(times, "compact", "dense"), 3.0, True, equal,
                  f"{each.note}; {fewer:.1f} times fewer multiply-adds", median(times["compact"]), median(times["dense"]))  # fmt: skip


def _config() -> dict:
    with initialize_config_dir(str(SCALES.parent), version_base="1.3"):
        return OmegaConf.to_container(compose("config", ["experiment=order1", "pruning=structured", LR_EXPONENT]), resolve=True)


def _random(config: dict) -> Contestants:
    shape, intensity, windows = (pipeline.made(config["scale"][name]) for name in ("network", "intensity", "windows"))
    torch.manual_seed(0)
    dense, masked = (DecoderNetwork(shape, 2, config["scale"]["decoder_width"]) for _ in range(2))
    with torch.no_grad():
        for parameter in dense.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    masked.load_state_dict(dense.state_dict())
    apply_masks(masked, WholeChannels()(masked, RATE))
    encoder = with_fast_layout(Encoder(shape, intensity.channels).eval(), "cpu")
    with torch.inference_mode():
        encoded = encoder(torch.randn(windows.batch, intensity.channels, *windows.patch_zyx))
    return Contestants(f"random weights, {100 * RATE:g} % of them removed, scale=tiny", dense, masked, encoded, "random weights: no DSC")


def _trained(config: dict) -> list[Contestants]:
    store, progress = UnitStore(config["paths"]["units"]), RunProgress()
    specs = pipeline.datasets(config)
    method = pipeline.method_of(config, specs.values(), store, progress)
    [spec] = list(specs.values())[:1]
    task = pipeline.training_task(0, spec, pipeline.Preparation(config, store), None)
    built = method.encoder_plan.build(method.shop, method.archive, method.registry.decoders.values(), [task])
    return [_pruned(method, task, built.decoders[name]) for name in DECODERS]


def _pruned(method: CLNet, task: Task, start: LearnedDecoder) -> Contestants:
    """A decoder of the first dataset, as a run learns and prunes it, on a window of a validation case."""
    archive, shop = method.archive, method.shop
    archive.add(start)
    variants = decoder_variants([start.decoder], {task.dataset: task.labels})[start.decoder.name]
    given = Assignment((task,), variants, start.route)
    learned = train_decoder(shop, archive, given, method.plan.refine, "decoder_refine", start, True)
    archive.add(learned)
    pruned = draw_ticket(shop, archive, given, method.plan.refine, learned, method.pruning, method.ema)
    archive.add(pruned)
    ticket = pruned.ticket
    note = (f"{start.decoder.name}: {100 * ticket.rate:.1f} % of the weights removed, validation DSC {100 * ticket.dsc_before:.1f} before "
            f"and {100 * ticket.dsc_after:.1f} after; {TRAINED}")  # fmt: skip
    image_hu = shop.cases([task])[1][0].image_hu()
    middle = tuple(slice((n - size) // 2, (n - size) // 2 + size) if n > size else slice(None)
                   for n, size in zip(image_hu.shape, shop.windows.patch_zyx, strict=True))  # fmt: skip
    image = torch.from_numpy(shop.intensity.normalise(image_hu[middle]))[None].repeat(shop.windows.batch, 1, 1, 1, 1)
    with torch.inference_mode():
        encoded = with_fast_layout(archive.encoder(pruned.route.encoder).eval(), shop.device)(image)
    return Contestants(f"{start.decoder.name}, scale=tiny, one batch of windows", archive.decoder(learned)[0],
                       archive.decoder(pruned)[0], encoded, note)  # fmt: skip

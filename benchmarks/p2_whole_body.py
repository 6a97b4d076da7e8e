"""P2: all 101 decoders on a whole body, against one decoder at a time with the encoder repeated and nothing skipped (the paper's way)."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from benchmarks.contest import Result, agreement
from benchmarks.paper import SCALES, SMALL, Place, with_seed
from benchmarks.wholebody import Body, Scan, body_hu, decoders, merging, parts
from clnet.data.intensity import Intensity
from clnet.infer.mergedscan import ScanMerging
from clnet.infer.predict import PartNetwork, ScanPredictor
from clnet.infer.window import Windows
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.shape import NetworkShape
from clnet.model.support import Pass, Paths, Route, for_inference, last_uses, running_order

# the paper's network without its coarsest stage, by which these windows cannot be divided
FIVE = NetworkShape((32, 64, 128, 256, 320), ((1, 3, 3), *[(3, 3, 3)] * 4), ((1, 1, 1), (1, 2, 2), *[(2, 2, 2)] * 3))
# network, scan, window, windows a batch (of the rival this many are timed), rounds
SIZES = {"full": (FIVE, (200, 150, 150), (56, 48, 64), 4, 2), "small": (SMALL, (24, 20, 20), (8, 8, 8), 2, 1)}
INTENSITY = Intensity([{"center_hu": 0.0, "scale_hu": 250.0}])
GOAL = 15.0


@torch.inference_mode()
def run(size: str = "full") -> list[Result]:
    """One result. The rival's time is linear in windows: it is measured on some, before and after ours, for every decoder, and scaled."""
    shape, volume, patch, some, rounds = SIZES[size]
    paths, windows = whole_body(shape), Windows(patch, 0.5, some)
    case, rules, all_parts = Scan(body_hu(volume)), merging(), parts(decoders())
    rng, count = np.random.default_rng(0), int(np.prod([len(windows.starts(n, axis)) for axis, n in enumerate(volume)]))
    batch = torch.from_numpy(rng.normal(size=(some, 1, *patch)).astype(np.float32))
    equal = _agree(paths, batch)

    def one_by_one() -> float:
        begin = time.perf_counter()
        for key in paths.routes:
            Pass(paths, batch).output(key)
        return (time.perf_counter() - begin) * count / some

    predictor = ScanPredictor(partial(Pass, paths), _networks(paths, rules.lesions_first(all_parts)), windows, INTENSITY)
    rival = [one_by_one() for _ in range(rounds)]
    begin = time.perf_counter()
    ScanMerging(rules, all_parts, Body())(case, predictor)
    ours = time.perf_counter() - begin
    rival = float(np.median([*rival, *(one_by_one() for _ in range(rounds))]))
    sizes = " voxels, windows ".join(" x ".join(map(str, zyx)) for zyx in (volume, patch))
    workload = f"{len(all_parts)} decoders by conf/decoder/rule.yaml, {sizes}"
    note = (f"the rival's time is that of {some} of its {count} windows, all decoders, scaled; without interpolation, sums and merging, "
            f"which are in ours")  # fmt: skip
    return [Result("P2", workload, "encode once, shared supporters, organ-level ranges, merged", "one decoder at a time, nothing skipped",
                   rival / ours, GOAL, True, equal, note, ours, rival)]  # fmt: skip


def whole_body(shape: NetworkShape) -> Paths:
    """All decoders with random weights, as wide as the rule says, supported as Table S5 says."""
    known = {decoder.name: decoder for decoder in decoders()}
    rule = instantiate(OmegaConf.load(SCALES.parent / "decoder" / "rule.yaml").width, _convert_="all")
    width = {name: min(rule(len(decoder.structures)), shape.features[0]) for name, decoder in known.items()}
    networks = {}
    for seed, (name, decoder) in enumerate(known.items()):
        channels, given = len(decoder.structures) + (not decoder.nested), [width[supporter] for supporter in decoder.supporters]
        networks[name] = with_seed(partial(DecoderNetwork, shape, channels, width[name], given, decoder.nested), seed)
    routes = {name: Route("general", decoder.supporters) for name, decoder in known.items()}
    return for_inference(Paths({"general": with_seed(partial(Encoder, shape))}, networks, routes), Place().ready)


def _networks(paths: Paths, of) -> list[PartNetwork]:
    order = running_order([part.name for part in of], paths.routes)
    places, last = {name: place for place, name in enumerate(order)}, last_uses(order, paths.routes)

    def probabilities(way: Pass, name: str, nested: bool) -> torch.Tensor:
        logits = way.output(name).logits[0]
        way.forget(supporter for supporter, place in last.items() if place <= places[name])
        return logits.sigmoid() if nested else logits.softmax(1)

    return [PartNetwork(part, partial(probabilities, name=part.name, nested=part.nested), places[part.name]) for part in of]


def _agree(paths: Paths, batch: torch.Tensor) -> str:
    """The logits of decoders that share one pass are those of a pass for each."""
    shared = Pass(paths, batch)
    pairs = ((shared.output(key).logits[0], Pass(paths, batch).output(key).logits[0]) for key in list(paths.routes)[::7])
    apart = max(float((own - other).abs().max()) for own, other in pairs)
    return agreement("logits of a shared pass and of one for each decoder", apart, 1e-5)

"""What a decoder costs at prediction: multiply-adds of a window, counted, and seconds, measured."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch

from clnet.learn.archive import Archive, LearnedDecoder
from clnet.learn.workshop import Workshop
from clnet.model.block import with_fast_layout
from clnet.model.compact import compact_paths
from clnet.model.cost import decoder_inputs, multiply_adds

REPEATS = 3  # calls of which the fastest counts, after one that does not


@dataclass(frozen=True)
class Cost:
    """Of one window, the encoder and supporters left out; nonzero: multiply-adds by weights that are not zero."""

    multiply_adds: int
    nonzero_multiply_adds: int
    seconds: float


@dataclass
class Meter:
    """Measures decoders as prediction runs them, compact and in batches of windows, each identity once."""

    shop: Workshop
    archive: Archive
    known: dict[str, Cost] = field(default_factory=dict)

    def __call__(self, state: LearnedDecoder) -> Cost:
        if state.identity not in self.known:
            self.known[state.identity] = self._measured(state)
        return self.known[state.identity]

    @torch.inference_mode()
    def _measured(self, state: LearnedDecoder) -> Cost:
        windows, device = self.shop.windows, self.shop.device
        network = compact_paths(self.archive.paths([], [state.identity])).decoders[state.identity].eval()
        counted = multiply_adds(network, *decoder_inputs(network, self.archive.shape, windows.patch_zyx))
        network = with_fast_layout(network, device)
        inputs = decoder_inputs(network, self.archive.shape, windows.patch_zyx, windows.batch, device)
        seconds = []
        for _ in range(1 + REPEATS):
            began = time.perf_counter()
            network(*inputs)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - began)
        return Cost(*counted, min(seconds[1:]) / windows.batch)

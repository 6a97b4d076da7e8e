"""The shape of the network as plain data: what an encoder and its decoders must agree on."""

from __future__ import annotations

from dataclasses import dataclass

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class NetworkShape:
    """Feature widths, kernels and strides of the encoder, stage by stage, axes (z, y, x).

    features: channels of each encoder stage.
    kernels: convolution kernel of each stage.
    strides: stride with which each stage begins; the first is normally (1, 1, 1).
    summed_logits: whether a decoder block's logits add to the upsampled ones of the coarser block (Isensee et al. 2017, BraTS), so
    that a finer block only has to correct what is known; nnU-Net and CL-Net keep them apart.
    Source: CL-Net A4; strides after paper note 25 (patch 128 x 96 x 112 is x, y, z).
    """

    features: tuple[int, ...]
    kernels: tuple[Triple, ...]
    strides: tuple[Triple, ...]
    summed_logits: bool = False

    def __post_init__(self):
        for name in ("kernels", "strides"):
            object.__setattr__(self, name, tuple(tuple(int(v) for v in triple) for triple in getattr(self, name)))
        object.__setattr__(self, "features", tuple(int(v) for v in self.features))
        if not len(self.features) == len(self.kernels) == len(self.strides):
            found = f"{len(self.features)}, {len(self.kernels)}, {len(self.strides)}"
            raise ValueError(f"features, kernels and strides need one entry a stage; found {found}")

    @property
    def total_stride(self) -> Triple:
        """Product of all strides: a patch must be a multiple of it on each axis."""
        total = [1, 1, 1]
        for stride in self.strides:
            total = [t * s for t, s in zip(total, stride, strict=True)]
        return tuple(total)

    def decoder_features(self, width: int | None) -> tuple[int, ...]:
        """Channels of the decoder blocks, from the finest: `width` doubling by stage, never above the encoder's own.

        `width=None` is the full decoder, as wide as the encoder. CL-Net speaks of a rule for the width of a decoder without
        giving it (4.5; paper note 6).
        """
        levels = self.features[:-1]
        if width is None:
            return levels
        return tuple(min(own, width * 2**level) for level, own in enumerate(levels))

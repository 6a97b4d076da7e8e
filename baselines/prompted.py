"""A network whose heads are generated: for each class from what is in the image and from what the class is called.

Source: Liu et al. 2024 (Universal Model), section 3.2, eq. 1 and 2; the sizes are those of Zhang et al. 2023 (CSCLIP).
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from monai.networks.nets import SwinUNETR
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from baselines.unet import UNetOutput
from clnet.errors import UsageError
from clnet.learn.optim import OwnRates
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.shape import NetworkShape

WIDTH = 8  # channels of a head
PARAMETERS = 2 * (WIDTH * WIDTH + WIDTH) + WIDTH + 1  # three convolutions of 1x1x1 with biases: 153
IMAGE_FEATURES = 256
IN_CACHE, IN_MEMORY = 2**9, 2**17  # voxels, 8 features of each class: what a CPU core's cache holds; what a GPU has memory for


class UNetBackbone(nn.Module):
    """Encoder and decoder of CL-Net's shape without a head. Where the shape's logits are summed over the decoder's blocks, the features of
    all blocks are handed out, to be summed likewise; else those of the finest."""

    multiple_of = 1  # a shape's own strides decide
    nominal_m = 31.3  # millions of parameters, as CL-Net counts a U-Net of its shape

    def __init__(self, shape: NetworkShape, image_channels: int, width: int | None):
        super().__init__()
        self.encoder, self.decoder = Encoder(shape, image_channels), _HeadlessDecoder(shape, 1, width)
        self.summed = shape.summed_logits
        self.deep, self.fine = shape.features[-1], shape.decoder_features(width)[: None if self.summed else 1]

    def forward(self, image: Tensor, finest: int = 0) -> tuple[Tensor, list[Tensor]]:
        """The deepest features, and those of the decoder's blocks, finest first; finest: the last block to compute, if they are summed."""
        encoded = self.encoder(image)
        return encoded[-1], self.decoder(encoded, finest) if self.summed else self.decoder(encoded, 0)[:1]


class SwinBackbone(nn.Module):
    """Swin UNETR without its head, the originals' choice; it has no deep supervision. The first three arguments are those of
    `UNetBackbone`, of which it needs the image's channels alone. Raises UsageError without `einops`, which MONAI needs here."""

    multiple_of = 32  # voxels of a patch on each axis; on one of them it takes 64, as the deepest features are normalised over voxels
    nominal_m = 62.2

    def __init__(self, shape: NetworkShape, image_channels: int, width: int | None, feature_size: int = 48):
        super().__init__()
        if importlib.util.find_spec("einops") is None:
            raise UsageError("MONAI's Swin UNETR needs a library that is not installed", where="method.backbone=swin_unetr",
                             found="no einops", fix="pip install einops, or method.backbone=unet")  # fmt: skip
        self.network = SwinUNETR(image_channels, 1, feature_size=feature_size)
        self.network.out = nn.Identity()
        self.deep, self.fine = 16 * feature_size, (feature_size,)

    @property
    def encoder(self) -> nn.Module:
        """The transformer."""
        return self.network.swinViT

    def forward(self, image: Tensor, finest: int = 0) -> tuple[Tensor, list[Tensor]]:
        """The deepest features, and the finest of the decoder, whatever `finest` is."""
        deepest = []
        with self.network.encoder10.register_forward_hook(lambda _, given, output: deepest.append(output)):
            fine = self.network(image)
        return deepest[0], [fine]


class PromptedNetwork(nn.Module):
    """One sigmoid logit for each class, out of a head that a multilayer perceptron of the class's own generates.

    classes: their number; embeddings: (class, length), what the perceptrons get beside the image's features; None: nothing (the
    one-hot ablation: which class it is shows in which perceptron is asked). hidden: features between their two layers; generator_lr: what
    perceptrons and what feeds them learn at (None: as all else).
    """

    def __init__(self, backbone: nn.Module, classes: int, embeddings: Tensor | None, hidden: int, generator_lr: float | None = None):
        super().__init__()
        self.generator_lr = generator_lr
        self.backbone = backbone
        self.deep, self.seen = nn.Sequential(_norm(backbone.deep), nn.ReLU()), nn.Linear(backbone.deep, IMAGE_FEATURES)
        self.narrow = nn.ModuleList(nn.Sequential(_norm(own), nn.ReLU(), nn.Conv3d(own, WIDTH, 1)) for own in backbone.fine)
        for correction in self.narrow[:-1]:
            nn.init.zeros_(correction[-1].weight)
            nn.init.zeros_(correction[-1].bias)
        self.register_buffer("embeddings", torch.zeros(classes, 0) if embeddings is None else embeddings)
        given = IMAGE_FEATURES + self.embeddings.shape[1]
        self.generators = nn.ModuleList(
            nn.Sequential(nn.Linear(given, hidden), nn.ReLU(), nn.Linear(hidden, PARAMETERS)) for _ in range(classes)
        )
        for generator in self.generators:
            begin_as_convolutions(generator[-1].bias)

    @property
    def encoder(self) -> nn.Module:
        """The backbone's."""
        return self.backbone.encoder

    @property
    def own_lr(self) -> OwnRates:
        """What does not learn at a lesson's rate."""
        return [([*self.seen.parameters(), *self.generators.parameters()], self.generator_lr)] if self.generator_lr else []

    def forward(self, image: Tensor, finest: int = 0) -> UNetOutput:
        """Logits (batch, class, z, y, x) of a single level, as there is no deep supervision: that of the decoder's block `finest` where the
        backbone hands out all of them, else of the finest."""
        deep, fine = self.backbone(image, finest)
        parameters, features = self.generated(self.seen(self.deep(deep).mean((2, 3, 4)))), None
        for narrow, own in zip(reversed(self.narrow), reversed(fine)):  # the finest is missing in steps that leave it out
            given = narrow(own)
            features = given if features is None else given + F.interpolate(features, given.shape[2:], mode="trilinear")
        chunks = features.flatten(2).split(IN_CACHE if image.device.type == "cpu" else IN_MEMORY, dim=2)
        logits = [checkpoint(heads, chunk, parameters, use_reentrant=False, preserve_rng_state=False) for chunk in chunks]
        return UNetOutput([torch.cat(logits, dim=2).unflatten(2, features.shape[2:])], [deep], fine)

    def generated(self, seen: Tensor) -> Tensor:
        """The heads' parameters: (batch, image feature) -> (batch, class, 153)."""
        found = [generator(torch.cat((text.expand(len(seen), -1), seen), dim=1))
                 for text, generator in zip(self.embeddings, self.generators, strict=True)]  # fmt: skip
        return torch.stack(found, dim=1)


def heads(features: Tensor, parameters: Tensor) -> Tensor:
    """Three convolutions of 1x1x1 (8, 8 and 1 channels) with ReLU between, their weights and biases given for each image and class.

    features: (batch, 8, voxel); parameters: (batch, class, 153), all weights (row by row) before all biases.
    Returns (batch, class, voxel).
    """
    square, (batch, classes) = WIDTH * WIDTH, parameters.shape[:2]
    split = parameters.split([square, square, WIDTH, WIDTH, WIDTH, 1], dim=2)
    first, second, last, *biases = (given.flatten(0, 1) for given in split)
    of_all, of_each, of_last = (bias[..., None] for bias in biases)
    # all classes begin with the same features: one product for each image
    current = torch.baddbmm(of_all.reshape(batch, -1, 1), first.reshape(batch, -1, WIDTH), features).relu_()
    current = torch.baddbmm(of_each, second.unflatten(1, (-1, WIDTH)), current.view(-1, WIDTH, current.shape[2])).relu_()
    return torch.baddbmm(of_last, last[:, None], current).view(batch, classes, -1)


@torch.no_grad()
def begin_as_convolutions(bias: Tensor) -> None:
    """Make the bias of a generator's last layer, (153,), a head that passes signals on as a convolution does: He's initialisation of the
    weights. With torch's own of a linear layer the logits begin with an eighth of the spread, and learn a few times more slowly.
    Source: Chang et al. 2020, "Principled weight initialization for hypernetworks" (the generated weights need the variance).
    """
    square = WIDTH * WIDTH
    bias.zero_()
    bias[: 2 * square].normal_(std=(2 / WIDTH) ** 0.5)
    bias[2 * square : 2 * square + WIDTH].normal_(std=WIDTH**-0.5)


def check_patches(backbone: type | object, patches_zyx: Sequence[Sequence[int]]) -> None:
    """Raises UsageError for patches that a backbone cannot take."""
    step = getattr(backbone, "func", backbone).multiple_of
    wrong = [list(patch) for patch in patches_zyx if any(length % step for length in patch) or (step > 1 and set(patch) == {step})]
    if wrong:
        raise UsageError(f"patches must be multiples of {step} voxels here, and longer than that along one axis",
                         where="method.backbone=swin_unetr", found=wrong,
                         fix="set scale.sampling.encoder.patch_zyx and scale.windows.patch_zyx, or method.backbone=unet")  # fmt: skip


@torch.no_grad()
def take_over_classes(old: PromptedNetwork, new: PromptedNetwork) -> None:
    """Give a network all weights of one with fewer classes, which come first; the others' perceptrons stay as they were initialised."""
    known = {name: value for name, value in old.state_dict().items() if name != "embeddings"}
    new.load_state_dict({**new.state_dict(), **known})


class _HeadlessDecoder(DecoderNetwork):
    """Returns the features of its blocks from block `finest` on, finest first."""

    def __init__(self, shape: NetworkShape, channels: int, width: int | None):
        super().__init__(shape, channels, width)
        del self.heads, self.projections

    def forward(self, encoded: list[Tensor], finest: int) -> list[Tensor]:
        current, features = encoded[-1], []
        for level in reversed(range(finest, len(self.blocks))):
            current = self.blocks[level](torch.cat((self.ups[level](current), encoded[level]), dim=1))
            features.insert(0, current)
        return features


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(16, channels), channels)

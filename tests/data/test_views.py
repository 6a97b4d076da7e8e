"""Views: the ranges that the paper lists, drawn as it lists them, and what its view augmentation must never do."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from clnet.data.augment import Augmentation
from clnet.data.intensity import Intensity
from clnet.data.views import AxisShrink, Clip, ResizedCrop, view_of

PLAIN = Intensity([{"center_hu": 0.0, "scale_hu": 1.0}])


@cache
def configured(repository, name: str) -> dict:
    with initialize_config_dir(str(repository / "conf"), version_base=None):
        return OmegaConf.to_container(compose("config", overrides=[f"view={name}", "scale=paper"]).view, resolve=True)


def of_kind(view: dict, kind: str) -> list[dict]:
    found = [(entry["transform"], entry.get("probability", 1.0)) for entry in view["transforms"]]
    return [{**transform, "probability": probability} for transform, probability in found if transform["_target_"].endswith(kind)]


def test_proposed_ranges_are_the_papers(repository):
    view = configured(repository, "proposed")
    [spatial], [noise], [blur], [factor], [low] = (
        of_kind(view, kind) for kind in ("SpatialTransform", "GaussianNoiseTransform", "GaussianBlurTransform",
                                         "MultiplicativeBrightnessTransform", "SimulateLowResolutionTransform")
    )  # fmt: skip
    assert (spatial["p_rotation"], spatial["p_scaling"], spatial["scaling"]) == (0.5, 0.5, [0.7, 1.4])
    assert np.rad2deg(spatial["rotation"]) == pytest.approx([-45, 45], abs=0.01)
    assert noise["noise_variance"] == [0, 0.1] and (blur["blur_sigma"], blur["probability"]) == ([0.5, 1.5], 0.5)
    assert factor["multiplier_range"] == [0.65, 1.5]
    assert (low["scale"]["height"], low["scale"]["plane"], low["probability"]) == ([2, 4], [1, 2], 0.5)
    assert [mirror["allowed_axes"] for mirror in of_kind(view, "MirrorTransform")] == [[1, 2]], "never head to foot"
    assert not of_kind(view, "ResizedCrop"), "no large crop"
    assert [mirror["allowed_axes"] for mirror in of_kind(configured(repository, "default"), "MirrorTransform")] == [[0, 1, 2]]


@pytest.mark.parametrize("name", ["proposed", "default"])
def test_views_repeat_differ_and_stay_in_range(repository, name):
    view: Augmentation = instantiate(OmegaConf.create(small(configured(repository, name))), _convert_="all")
    image = np.random.default_rng(0).integers(-1500, 1500, view.read_size((12, 16, 16))).astype(np.int16)
    first, again, other = (view_of(image, view, PLAIN, [seed]) for seed in (1, 1, 2))
    assert first.shape == (1, 12, 16, 16) and torch.equal(first, again) and not torch.equal(first, other)
    for seed in range(20):
        made = view_of(image, view, PLAIN, [seed])
        assert float(made.min()) >= -1024 and float(made.max()) <= 1024


def small(view: dict) -> dict:
    for entry in view["transforms"]:
        if "patch_size" in entry["transform"]:
            entry["transform"]["patch_size"] = [12, 16, 16]
    return view


def test_head_stays_above_foot_in_proposed_views_only(repository):
    ramp = np.broadcast_to(np.linspace(-800, 800, 24).astype(np.int16)[:, None, None], (24, 28, 28))

    def rising(name: str) -> list[bool]:
        view = instantiate(OmegaConf.create(small(configured(repository, name))), _convert_="all")
        profiles = [view_of(ramp, view, PLAIN, [seed])[0].mean((1, 2)) for seed in range(40)]
        return [bool(profile[-4:].mean() > profile[:4].mean()) for profile in profiles]

    assert all(rising("proposed")) and 5 < sum(rising("default")) < 35


def test_crop_is_stretched_to_the_whole():
    crop = ResizedCrop([0.2, 0.2])
    image = torch.arange(1000.0).reshape(1, 10, 10, 10)
    for seed in range(20):
        torch.manual_seed(seed)
        box = crop.get_parameters(image=image)["box"]
        assert [part.stop - part.start for part in box] == [6, 6, 6], "a cube of a fifth of the volume, rounded"
        assert all(0 <= part.start and part.stop <= 10 for part in box)
        made = crop._apply_to_image(image, box=box)
        assert made.shape == image.shape and float(made.min()) >= float(image[(0, *box)].min())


def test_plane_and_height_shrink_by_their_own_ranges():
    np.random.seed(0)  # noqa: NPY002  (the state that batchgeneratorsv2 draws from)
    shrink = AxisShrink(height=[2, 4], plane=[1, 2])
    drawn = np.array([[shrink(None, dim=axis) for axis in range(3)] for _ in range(200)])
    assert 0.25 <= drawn[:, 0].min() < 0.27 and 0.45 < drawn[:, 0].max() <= 0.5
    assert 0.5 <= drawn[:, 1].min() < 0.52 and 0.95 < drawn[:, 1].max() <= 1 and (drawn[:, 2] == drawn[:, 1]).all()


def test_intensities_are_clipped_before_resolution_is_lowered(repository):
    view = configured(repository, "proposed")
    kinds = [entry["transform"]["_target_"].rpartition(".")[2] for entry in view["transforms"]]
    assert kinds.index("MultiplicativeBrightnessTransform") < kinds.index("Clip") < kinds.index("SimulateLowResolutionTransform")
    assert of_kind(view, "Clip")[0]["limits"] == [-1, 1]
    assert Clip([-1, 1])(image=torch.tensor([[[[-3.0, 0.5, 1.25]]]]))["image"].flatten().tolist() == [-1.0, 0.5, 1.0]

"""The probe reads what is linearly in the features, and nothing where there is nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from clnet.data.intensity import Intensity
from clnet.learn.probe import ProbePlan, probe, ridge_chosen, ridge_fit, ridge_read
from clnet.model.encoder import Encoder
from clnet.model.shape import NetworkShape

SHAPE = NetworkShape((4, 8, 8), ((3, 3, 3),) * 3, ((1, 1, 1), (1, 2, 2), (2, 2, 2)))
PLAN = ProbePlan(40, [8, 8, 8])
INTENSITY = Intensity([{"center_hu": 0.0, "scale_hu": 250.0}])


@pytest.fixture
def cases(tiny) -> list:
    """Boxes of labels, each of its own HU."""

    def case(number: int):
        case = tiny.Case(f"c{number}", number, absent=("Larynx", "Larynx_Glottic"))
        case._layers[0, 0, 0, 0] = 1  # heights count from here
        case._image = (100 * case._layers[0]).astype("int16")
        case.spacing_mm, case.annotated = (3.0, 1.0, 1.0), frozenset(("Liver", "Kidney_L", "Kidney_R"))
        return case

    return [case(number) for number in range(6)]


def test_ridge_by_hand():
    features, targets = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[1.0], [3.0], [5.0]])
    assert ridge_fit(features, targets, 1e-9).flatten().tolist() == pytest.approx([2.0, 1.0], abs=1e-4)
    strong = ridge_fit(features, targets, 1e9)
    assert strong.flatten().tolist() == pytest.approx([0.0, 3.0], abs=1e-4), "the constant is not penalised"
    assert ridge_read(torch.tensor([[10.0]]), ridge_fit(features, targets, 1e-9)).item() == pytest.approx(21.0, abs=1e-3)


def test_the_penalty_is_chosen_by_rows_that_are_left_out():
    """Twelve features of noise for nine rows in three folds: the smallest penalty fits them exactly and says nothing of others."""
    rng = torch.Generator().manual_seed(0)
    noise, told = torch.randn(9, 12, generator=rng), torch.randn(9, 1, generator=rng)
    assert ridge_chosen(noise, told, [3, 3, 3], (1e-3, 1.0, 1e6)) == 1e6
    line = torch.arange(9.0)[:, None]
    assert ridge_chosen(line, 2 * line + 1, [3, 3, 3], (1e-3, 1.0, 1e6)) == 1e-3
    assert ridge_chosen(torch.zeros(4, 1), torch.ones(4, 1), [2, 2], (1.0, 5.0, 2.0)) == 5.0, "the largest of equals"


def test_features_that_tell_are_read_and_constants_are_not(cases):
    def telling(image: torch.Tensor) -> list[torch.Tensor]:
        """Which label's HU the voxel has: 100 a label, on the scale of 250."""
        value = (image * 2.5).round()
        return [torch.cat([(value == number).float() for number in (1, 2, 3)], 1), F.avg_pool3d(image, 2)]

    told = probe(telling, cases, INTENSITY, PLAN, [0])
    blind = probe(lambda image: [torch.zeros_like(image)], cases, INTENSITY, PLAN, [0])
    assert told.tissue == 1.0 and blind.tissue == pytest.approx(blind.tissue_by_chance) == pytest.approx(1 / 3)
    assert blind.height_mm == pytest.approx(blind.height_by_mean_mm, rel=1e-4) and told.n == 120


def test_noise_is_not_read_as_heights(cases):
    """As many features of noise as patches: with a small penalty alone answers are far worse than the mean, with a choice they are not."""
    def noise(image: torch.Tensor) -> list[torch.Tensor]:
        rng = torch.Generator().manual_seed(int(1e4 * image.double().abs().sum()) % 2**31)
        return [torch.randn(len(image), 110, *image.shape[2:], generator=rng)]

    chosen, fixed = (probe(noise, cases, INTENSITY, replace(PLAN, ridge=ridge), [0]) for ridge in (PLAN.ridge, [1e-3]))
    assert chosen.height_mm < 1.1 * chosen.height_by_mean_mm < 1.5 * chosen.height_by_mean_mm < fixed.height_mm


def test_height_is_read_from_features_that_have_it(cases):
    for case in cases:
        case._image = (case._image * 0 + 10 * torch.arange(case.shape_zyx[0]).numpy()[:, None, None]).astype("int16")  # HU rise with z
    told = probe(lambda image: [image], cases, INTENSITY, PLAN, [0])
    assert told.height_mm < 0.2 * told.height_by_mean_mm


def test_same_seed_same_answer_and_a_network_can_be_probed(cases):
    torch.manual_seed(0)
    encoder = Encoder(SHAPE).eval()
    first, again, other = (probe(encoder, cases, INTENSITY, PLAN, [seed]) for seed in (1, 1, 2))
    assert first == again != other and 0 < first.tissue <= 1
    with pytest.raises(ValueError, match="two at least"):
        probe(encoder, cases[:1], INTENSITY, PLAN, [0])

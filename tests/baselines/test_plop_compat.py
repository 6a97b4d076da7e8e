"""The published code's thresholds by hand, and what its two slips amount to."""

from __future__ import annotations

import math

import pytest
import torch

from baselines.plop import EXACT, LOWEST_THRESHOLD, OFFICIAL, PLOP, normalised_entropy, with_pseudo_labels
from baselines.plop_compat import ACCEPTS_ALL, official_entropy, official_threshold
from clnet.errors import UsageError

OWN = {"pod_factor": 1e-3, "logits_factor": 5e-4, "scales": (1,), "pooled_axes": 1, "threshold_batches": 1}


def voxels(*counts: int) -> torch.Tensor:
    """Entropies in the middle of bins 0, 1, 2 ...: so many in each."""
    return torch.cat([torch.full((count,), (index + 0.5) / 100) for index, count in enumerate(counts)])


def test_entropy_by_hand():
    """Four old classes of six: uniform, the mean of -p ln p is ln(4) / 4; of two halves, ln(2) / 4."""
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, -100.0, -100.0]]).T[None, :, :, None, None]
    expected = [1 / (4 * math.log(6)), math.log(2) / 4 / math.log(4) / math.log(6)]
    assert official_entropy(logits, 6).flatten().tolist() == pytest.approx(expected, rel=1e-5)


def test_all_in_the_first_bin_is_half_of_it():
    assert official_threshold(voxels(7)) == pytest.approx(0.005)


def test_the_running_sum_adds_indices():
    """1, 1, 6 of 8 voxels: half is 4; before bin 2 the sum is 0 + 1, not 2, so 3 of its 6 are below: 0.02 + 0.01 / 2. Half of 6, 2, 2 is
    5, in bin 0 already."""
    assert official_threshold(voxels(1, 1, 6)) == pytest.approx(0.025)
    assert official_threshold(voxels(6, 2, 2)) == pytest.approx(0.01 * 5 / 6)


def test_where_no_bin_fits_the_last_one_is_divided():
    """Ten in each of ten bins: 0, 0, 1, 3, 6 ... 36 plus 10 is below 50, then the bins are empty; the sum of all indices is 4,950."""
    assert official_threshold(voxels(*[10] * 10)) == 0.0  # (50 - 4,950) / 0
    assert official_threshold(voxels(*[1000] * 10)) == ACCEPTS_ALL  # (5,000 - 4,950) / 0


def accepted(logits: torch.Tensor, classes: int) -> float:
    """The share of an unlabelled image whose voxels the teacher's classes are taken for, by thresholds from the same image."""
    guess, old = logits.argmax(1), logits.shape[1]
    found = {channel: official_threshold(official_entropy(logits, classes)[guess == channel]) for channel in range(old)}
    thresholds = torch.tensor([max(found[channel], LOWEST_THRESHOLD) for channel in range(old)])
    target = torch.zeros(logits.shape[0], *logits.shape[2:], dtype=torch.long)
    _, share = with_pseudo_labels(target, logits, torch.zeros(old, dtype=torch.long), thresholds, lambda x: official_entropy(x, classes))
    return float(share)


def test_from_51_classes_on_everything_is_accepted_and_the_median_would_accept_half():
    """51 ln(51) is 200.5, 50 ln(50) is 195.6; flat probabilities come nearest to the bound."""
    torch.manual_seed(0)
    logits = 0.1 * torch.randn(1, 51, 8, 20, 40)
    assert accepted(logits, 51) == accepted(logits, 143) == accepted(3 * torch.randn(1, 101, 8, 20, 20), 143) == 1.0
    assert accepted(logits[:, :50], 50) < 0.01, "below, flat probabilities lie above half of the bin"
    entropy, guess = normalised_entropy(logits), logits.argmax(1)
    medians = torch.stack([entropy[guess == channel].median() for channel in range(51)])
    _, share = with_pseudo_labels(torch.zeros(1, 8, 20, 40), logits, torch.zeros(51, dtype=torch.long), medians)
    assert float(share) == pytest.approx(0.5, abs=0.02)


def test_the_mode_reaches_thresholds_loss_and_identity(baseline, tasks):
    exact, official = (baseline(PLOP, entropy_mode=mode, **OWN) for mode in (EXACT, OFFICIAL))
    assert exact.settings_of_own == baseline(PLOP, **OWN).settings_of_own != official.settings_of_own
    official.learn(tasks[0])
    given = official.curriculum([tasks[1]], official.learned.space, official.learned)
    teacher, image = official.loaded(official.learned).eval(), torch.randn(2, 1, 8, 8, 8)
    batch = {"image": image, "target/second/0": torch.zeros(2, 8, 8, 8, dtype=torch.uint8)}
    found = official.studied(given, teacher, [batch])["thresholds"]
    with torch.no_grad():
        logits = teacher(image).logits[0]
    entropy, guess = official_entropy(logits, len(given.space.structures) + 1), logits.argmax(1)
    expected = [max(official_threshold(entropy[guess == channel]), LOWEST_THRESHOLD) for channel in range(3)]
    assert found == pytest.approx(expected) and torch.equal(official.entropy(given)(logits), entropy)
    assert official.identity(given) != exact.identity(given)
    official.learn(tasks[1])  # the loss takes both
    with pytest.raises(UsageError, match="no such mode"):
        baseline(PLOP, entropy_mode="median", **OWN)

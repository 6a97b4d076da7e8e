"""Learning without labels: views that repeat, a loss that falls, collapse that shows, and a kill that changes nothing."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from clnet.data.augment import Augmentation
from clnet.data.intensity import Intensity
from clnet.errors import UsageError
from clnet.learn.optim import Training
from clnet.learn.siamese import SiameseTraining, ViewPairs, ViewSampling, last_spread, without_labels
from clnet.model.encoder import Encoder
from clnet.model.shape import NetworkShape
from clnet.model.siamese import Siamese
from clnet.model.weights import weights_sha256

SHAPE = NetworkShape((4, 8, 8), ((3, 3, 3),) * 3, ((1, 1, 1), (1, 2, 2), (2, 2, 2)))


class Noise:
    """A view that differs from the other one of its pair: everything is shifted by a random amount."""

    def __call__(self, **data):
        return {**data, "image": data["image"] + 0.05 * torch.randn(())}


@pytest.fixture
def pairs(tiny) -> ViewPairs:
    cases = [tiny.Case("a", 1), tiny.Case("b", 2)]
    view = Augmentation([{"transform": Noise()}])
    return ViewPairs(cases, ViewSampling((8, 8, 8), 4), view, Intensity([{"center_hu": 0.0, "scale_hu": 250.0}]), [0, 1])


def training(epochs: int = 2, **network) -> SiameseTraining:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        siamese = Siamese(Encoder(SHAPE), **{"hidden": 16, "bottleneck": 4} | network)
    sgd = partial(torch.optim.SGD, momentum=0.9)
    return SiameseTraining(siamese, Training(sgd, lr=0.05, epochs=epochs, steps_per_epoch=3, cosine=True))


def test_a_pair_shows_one_place_twice(pairs):
    first, again = pairs[5], pairs[5]
    assert first["first"].shape == first["second"].shape == (4, 1, 8, 8, 8)
    assert torch.equal(first["first"], again["first"]) and not torch.equal(first["first"], pairs[6]["first"])
    shift = (first["first"] - first["second"]).flatten(1)
    assert torch.allclose(shift, shift[:, :1].expand_as(shift), atol=0.01) and (shift.abs() > 0.01).any(), "shifted by one number a view"


def test_loss_falls(tiny, pairs, tmp_path):
    model = tiny.train(training(epochs=8), pairs, tmp_path / "unit")
    lines = [line for line in (tmp_path / "unit" / "metrics.jsonl").read_text().splitlines()]
    losses = [float(line.split('"loss": ')[1].split(",")[0]) for line in lines]
    assert losses[-1] < losses[0] - 0.05 and model.spread == last_spread(tmp_path / "unit" / "metrics.jsonl") > 0.2


def test_killed_training_ends_with_the_same_bits(tiny, pairs, tmp_path):
    class Killed(BaseException):
        pass

    class KilledAt:
        def __getitem__(self, step):
            if step == 4:
                raise Killed
            return pairs[step]

    whole = tiny.train(training(), pairs, tmp_path / "whole")
    with pytest.raises(Killed):
        tiny.train(training(), KilledAt(), tmp_path / "killed")
    resumed = tiny.train(training(), pairs, tmp_path / "killed")
    assert weights_sha256(resumed.network) == weights_sha256(whole.network) != weights_sha256(training().network)


def test_collapsed_projections_have_no_spread(tiny, pairs, tmp_path):
    model = training(epochs=1)
    with torch.no_grad():
        last = model.network.projector[-1]
        model.network.projector[-1] = torch.nn.Linear(16, 16)  # without normalisation, and the same answer to everything
        model.network.projector[-1].weight.zero_()
        model.network.projector[-1].bias.fill_(1.0)
    assert isinstance(last, torch.nn.BatchNorm1d)
    model.settings = Training(torch.optim.SGD, lr=1e-9, epochs=1, steps_per_epoch=3)
    tiny.train(model, pairs, tmp_path)
    assert last_spread(tmp_path / "metrics.jsonl") == pytest.approx(0.0, abs=1e-3)


def test_single_pairs_are_refused():
    with pytest.raises(UsageError, match="batch statistics"):
        without_labels({"patch_zyx": [8, 8, 8], "batch_size": 1}, {}, torch.optim.SGD, Augmentation([]), 8, 4, 0.1)

"""Batches: what a step sees follows from the seed and the step alone."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform

from clnet.data.augment import Augmentation
from clnet.errors import DataError
from clnet.learn.batches import Sampling, batch_loader


@pytest.fixture
def noisy(tiny):
    """Batches with random augmentation, made anew at every call."""
    return lambda **more: tiny.batches(augmentation=Augmentation([{"transform": GaussianNoiseTransform((0.1, 0.2))}]), **more)


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_an_item_depends_on_seed_and_step_alone(noisy):
    batches = noisy()
    forward = [batches[step] for step in range(4)]
    backward = [noisy()[step] for step in reversed(range(4))]
    assert all(same(one, other) for one, other in zip(forward, reversed(backward)))
    assert not same(forward[0], forward[1]) and not torch.equal(forward[0]["image"], noisy(seed=1)[0]["image"])


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_and_first_epoch_change_nothing(noisy, workers):
    loader = batch_loader(noisy(), steps_per_epoch=3, workers=workers, first_epoch=2)
    for epoch in (2, 3):
        loader.sampler.set_epoch(epoch)
        assert all(same(batch, noisy()[3 * epoch + i]) for i, batch in enumerate(loader))


def test_ranks_share_the_steps_out(tiny):
    steps = [list(batch_loader(tiny.batches(), 2, 0, rank, 3, 1).sampler) for rank in range(3)]
    assert sorted(sum(steps, [])) == list(range(6, 12))


def test_random_state_of_the_process_is_left_alone(noisy):
    def states():
        numpys = np.random.get_state()  # noqa: NPY002  (the state that batchgeneratorsv2 draws from)
        return random.getstate(), numpys[1].tolist(), numpys[2], torch.random.get_rng_state().tolist()

    before, batches = states(), noisy()
    batches[0], batches[1]
    assert states() == before


def test_shapes_types_and_who_is_asked(tiny):
    everyone = dataclasses.replace(tiny.SAMPLING, decoders_per_step=None)
    batch = tiny.batches(sampling=everyone)[0]
    assert batch["image"].shape == (2, 1, 8, 8, 8) and batch["image"].dtype == torch.float32
    assert batch["target/Kidney"].shape == (2, 8, 8, 8) and batch["target/Kidney"].dtype == torch.uint8
    assert batch["target/Larynx"].shape == (2, 2, 8, 8, 8) and batch["target/Larynx"].dtype == torch.bool
    assert [key for key in batch if key.startswith("target/")] == ["target/Liver", "target/Kidney", "target/Larynx"]
    partly = tiny.Case("c", 3, annotated=frozenset({"Liver", "Kidney_L"}))
    cases = [partly, tiny.Case("d", 4)]
    valid = [tiny.batches(cases, sampling=everyone)[step]["valid/Kidney"].tolist() for step in range(8)]
    liver = [tiny.batches(cases, sampling=everyone)[step]["valid/Liver"].tolist() for step in range(8)]
    assert {flag for pair in valid for flag in pair} == {True, False} and all(all(pair) for pair in liver)


def test_decoders_with_foreground_come_first_and_all_have_their_turn(tiny):
    one = dataclasses.replace(tiny.SAMPLING, decoders_per_step=1, foreground_share=1.0)
    every = dataclasses.replace(one, decoders_per_step=None)
    chosen = set()
    for step in range(12):
        few, all_of_them = tiny.batches(sampling=one)[step], tiny.batches(sampling=every)[step]
        (name,) = [key for key in few if key.startswith("target/")]
        present = {key for key, value in all_of_them.items() if key.startswith("target/") and bool(value.any())}
        assert name in present and torch.equal(few["image"], all_of_them["image"])
        chosen.add(name)
    assert chosen == {"target/Liver", "target/Kidney", "target/Larynx"}


def test_without_foreground_any_decoder_may_learn(tiny):
    nothing = dataclasses.replace(tiny.SAMPLING, patch_zyx=(1, 1, 1), foreground_share=0.0, batch_size=1, decoders_per_step=1)
    batches = tiny.batches(sampling=nothing)
    chosen = [key for step in range(24) for key, value in batches[step].items() if key.startswith("target/") and not bool(value.any())]
    assert len(set(chosen)) == 3


def test_a_label_without_a_voxel_is_refused_by_name(tiny):
    cases = [tiny.Case("a", 1, absent=("Kidney_R",)), tiny.Case("b", 2, annotated=frozenset({"Liver", "Larynx", "Larynx_Glottic"}))]
    with pytest.raises(DataError, match="without a single training voxel") as error:
        tiny.batches(cases)
    assert error.value.found == "Kidney_R" and "memory" in str(error.value.where) and error.value.fix


def test_patches_show_the_border_of_the_volume_in_spite_of_the_margin(tiny):
    """The margin that a rotation needs must not keep the final patch away from the border, where skin and ribs are."""
    case = tiny.Case("ramp", 1)
    case._image[:] = np.arange(case.shape_zyx[2], dtype=np.int16)
    spatial = SpatialTransform([8, 8, 8], 0, False, padding_mode_image="border", mode_seg="nearest")
    augmentation = Augmentation([{"transform": spatial}], margin=(1.4, 1.4, 1.4))
    sampling = Sampling((8, 8, 8), batch_size=2, foreground_share=0.0, decoders_per_step=2)
    made = tiny.batches([case], sampling, augmentation=augmentation)
    columns = torch.cat([made[step]["image"].flatten() for step in range(40)]) * 250
    assert columns.min().round() == 0 and columns.max().round() == case.shape_zyx[2] - 1

"""Baselines on the datasets in memory of tests/learn: three tasks, of which the later ones label some structures again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import pytest

from baselines.method import COMMON, UNetMethod
from clnet.anatomy import registry
from clnet.data.augment import Augmentation
from clnet.data.intensity import Intensity
from clnet.infer.window import Windows
from clnet.launch import LocalLauncher
from clnet.learn.fit import TrainerSettings
from clnet.learn.plan import Lesson
from clnet.learn.progress import RunProgress
from clnet.units import UnitStore
from tests.learn.conftest import SHAPE, tasks, tiny  # noqa: F401 - fixtures

LESSONS = ("first", "together", "later")
SETTINGS = ("network", "decoder_width", "augment", "intensity", "trainer", "validation_share", "windows")


@pytest.fixture
def baseline(tiny, tmp_path) -> Callable[..., UNetMethod]:  # noqa: F811
    """Makes a method of a class with its own arguments; its lessons have four steps. plain: of its plain configuration, by name."""

    def make(kind: Callable, folder: str = "a", plain: Mapping | None = None, **own) -> UNetMethod:
        training = replace(tiny.module(partial(tiny.sgd(), weight_decay=1e-2)).settings, warm_up_epochs=0)
        lesson = Lesson(replace(tiny.SAMPLING, decoders_per_step=None), training)
        told = {**dict.fromkeys((*COMMON, "windows")), "_target_": kind.__name__, **dict.fromkeys(LESSONS, "four steps")}
        return kind(
            registry=registry.load(), shape=SHAPE, width=4, augmentation=Augmentation([]), **dict.fromkeys(LESSONS, lesson),
            intensity=Intensity([{"center_hu": 0.0, "scale_hu": 250.0}]), windows=Windows((8, 8, 8), 0.25, 2),
            settings={**dict.fromkeys(SETTINGS), "method": told | dict(plain or {})}, store=UnitStore(tmp_path / folder),
            trainer=TrainerSettings(threads=1), progress=RunProgress(interval_s=1e9), launcher=LocalLauncher(), seed=0,
            name=kind.__name__.lower(), **own,
        )  # fmt: skip

    return make

"""The table of methods' steps: its configurations are valid and short. That it runs is for machines with a GPU."""

from __future__ import annotations

import pytest

from benchmarks.methods import METHODS, configuration, main


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("scale", ["paper", "tiny"])
def test_every_lesson_is_as_short_as_asked(name, scale, tmp_path):
    cfg = configuration(METHODS[name], scale, "gpu", 5, tmp_path)
    asked = [cfg["scale"]["training"][lesson] for lesson in ("encoder", "new", "update", "view", "pair", "first", "later")]
    assert all((lesson["epochs"], lesson["steps_per_epoch"], lesson.get("warm_up_epochs", 0)) == (2, 5, 0) for lesson in asked)
    assert cfg["paths"]["units"] == str(tmp_path / "units")


def test_an_unknown_method_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["nobody"])
    assert "nobody" in capsys.readouterr().err

"""The truth table of empty masks under every policy, and that the policies' YAML builds them."""

import math
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from experiments.score import STATUSES, CadsPolicy, NnunetPolicy, PaperPolicy, SatPolicy, score_case

SPACING_MM = (3.0, 1.0, 1.0)
EMPTY = np.zeros((8, 10, 10), bool)
ORGAN = EMPTY.copy()
ORGAN[2:5, 2:7, 2:7] = True  # 75 voxels, 225 mm3
SHIFTED = np.roll(ORGAN, 1, axis=2)
CONF = Path(__file__).parents[2] / "conf" / "evaluate"


def score(prediction, reference, policy=None, **options):
    return score_case(prediction, reference, SPACING_MM, structure=options.pop("structure", "Liver"), tolerance_mm=2.0,
                      policy=policy, **options)


def test_both_present_is_ok_with_every_metric():
    row = score(SHIFTED, ORGAN)
    assert row["status"] == "ok"
    assert row["dsc"] == pytest.approx(0.8)
    assert 0 < row["asd_mm"] < row["hd95_mm"] == 1.0
    assert row["nsd"] == 1.0
    assert (row["reference_voxels"], row["predicted_voxels"]) == (75, 75)


# prediction, reference -> status, and (dsc, nsd) under paper, nnU-Net, SAT, CADS
TABLE = [
    (EMPTY, ORGAN, "missed", [(0.0, 0.0)] * 4),
    (ORGAN, EMPTY, "false_positive", [(None, None), (0.0, 0.0), (0.0, 0.0), (None, None)]),
    (EMPTY, EMPTY, "both_empty", [(None, None), (None, None), (1.0, 1.0), (None, None)]),
]


@pytest.mark.parametrize("index", range(4), ids=["paper", "nnunet", "sat", "cads"])
@pytest.mark.parametrize(("prediction", "reference", "status", "expected"), TABLE, ids=[row[2] for row in TABLE])
def test_empty_masks_by_policy(prediction, reference, status, expected, index):
    row = score(prediction, reference, [PaperPolicy(), NnunetPolicy(), SatPolicy(), CadsPolicy()][index])
    assert row["status"] == status
    assert (row["dsc"], row["nsd"]) == expected[index]
    assert row["asd_mm"] is None and row["hd95_mm"] is None
    assert (row["reference_voxels"], row["predicted_voxels"]) == (reference.sum(), prediction.sum())


def test_missed_organs_never_raise_a_mean():
    """A method that predicts nothing must not beat one that predicts something: its overlaps are 0, and none is left out."""
    rows = [score(EMPTY, ORGAN), score(SHIFTED, ORGAN)]
    assert np.mean([row["dsc"] for row in rows if row["dsc"] is not None]) == pytest.approx(0.4)


def test_what_a_case_does_not_annotate_is_not_scored():
    row = score(ORGAN, None, annotated=False)
    assert row == {"dsc": None, "asd_mm": None, "hd95_mm": None, "nsd": None, "reference_voxels": None, "predicted_voxels": 75,
                   "status": "not_annotated"}
    assert score(None, None, annotated=False)["predicted_voxels"] is None


def test_out_of_view():
    assert score(EMPTY, EMPTY, in_fov=False)["status"] == "out_of_fov"
    assert score(ORGAN, EMPTY, in_fov=False)["status"] == "false_positive"
    assert score(SHIFTED, ORGAN, in_fov=False)["status"] == "ok"


@pytest.mark.parametrize("pair", [(None, ORGAN), (ORGAN, None)])
def test_a_missing_mask_is_an_error_not_an_empty_one(pair):
    with pytest.raises(ValueError, match="Liver"):
        score(*pair)


def test_other_shape_is_an_error_even_for_an_empty_mask():
    with pytest.raises(ValueError, match="8, 10, 10"):
        score(np.zeros((8, 10, 9), bool), ORGAN)


@pytest.mark.parametrize(("usual_mm3", "status", "dsc", "hd95_mm"), [
    (240.0, "missed", 0.0, math.hypot(24, 10, 10)),  # 94 % of it is in view
    (1000.0, "missed", 0.0, None),                   # 22 %: the paper is silent
    (3000.0, "out_of_fov", None, None),              # 7.5 %: clipped
])
def test_cads_judges_a_missed_structure_by_its_volume_in_view(usual_mm3, status, dsc, hd95_mm):
    policy = CadsPolicy(usual_voxels={"Liver": round(usual_mm3 / 1.5**3)})
    row = score(EMPTY, ORGAN, policy)
    assert (row["status"], row["dsc"], row["nsd"]) == (status, dsc, dsc)
    assert row["hd95_mm"] == (None if hd95_mm is None else pytest.approx(hd95_mm))
    assert row["asd_mm"] is None


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_policy_in_yaml_is_built_and_scores(path):
    config = OmegaConf.load(path)
    assert path.read_text().startswith("# ")
    policy = instantiate(config.policy)
    for prediction in (EMPTY, ORGAN):
        for reference in (EMPTY, ORGAN):
            row = score_case(prediction, reference, SPACING_MM, structure="Liver", tolerance_mm=config.nsd_tolerance_mm, policy=policy)
            assert row["status"] in STATUSES
            assert all(row[key] is None or math.isfinite(row[key]) for key in ("dsc", "asd_mm", "hd95_mm", "nsd"))


def test_cads_volumes_are_of_known_structures():
    from clnet.anatomy import registry
    known = registry.load()
    config = OmegaConf.load(CONF / "cads.yaml")
    names = set(config.policy.usual_voxels)
    assert len(names) == 128
    unknown = [name for name in names if name not in known.structures and not known.resolve(name)]
    assert not unknown

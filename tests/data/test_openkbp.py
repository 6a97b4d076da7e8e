"""OpenKBP: the sparse arrays' axes, what is refused, and the four datasets made of one table of cases."""

from itertools import chain

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from clnet.data.openkbp import SHAPE, Plausible, convert
from clnet.errors import DataError
from clnet.types import Label

SLOTS = ("s0", "s1", "s2", "s3")


def sparse(array, with_values=False):
    """An array along OpenKBP's axes as its CSV."""
    indices = np.flatnonzero(array)
    values = array.reshape(-1)[indices] if with_values else [""] * len(indices)
    return ("\n".join([",data", *(f"{index},{value}" for index, value in zip(indices, values))]) + "\n").encode()


def block(anterior_posterior, right_left, superior_inferior):
    array = np.zeros(SHAPE, bool)
    array[slice(*anterior_posterior), slice(*right_left), slice(*superior_inferior)] = True
    return array


BODY = block((30, 60), (40, 70), (20, 60))
CORD = block((52, 56), (54, 56), (30, 60))
STEM = block((52, 56), (54, 56), (22, 32))  # overlaps the upper cord
LEFT = block((40, 44), (64, 68), (30, 34))


def patient(**changes):
    ct = np.where(BODY, 1040.0, 0.0)
    ct[45, 50, 25] = 27116.0  # metal
    files = {"ct": sparse(ct, True), "voxel_dimensions": b"4.5e+00\n4.25e+00\n3.0e+00\n",
             "Brainstem": sparse(STEM), "SpinalCord": sparse(CORD), "LeftParotid": sparse(LEFT),
             "PTV70": sparse(block((40, 50), (45, 60), (25, 40)))}
    return {name: content for name, content in {**files, **changes}.items() if content is not None}


def test_axes_become_lps():
    """Index (a, r, s) of the repository is z = 127 - s (upwards), y = a (to posterior), x = r (to the left)."""
    volumes = convert("pt_1", patient())
    left = np.argwhere(volumes.labels == 4)
    assert left.min(axis=0).tolist() == [127 - 33, 40, 64] and left.max(axis=0).tolist() == [127 - 30, 43, 67]
    assert volumes.image_hu[127 - 20, 30, 40] == 40 and volumes.image_hu[127 - 19, 30, 40] == -1000
    assert volumes.spacing_mm == (3.0, 4.5, 4.25)
    assert volumes.image_hu.dtype == np.int16 and volumes.labels.dtype == np.uint8


def test_hounsfield_units_end_at_12_bit():
    volumes = convert("pt_1", patient())
    assert volumes.image_hu[127 - 25, 45, 50] == 3095
    assert volumes.image_hu.min() == -1000


def test_overlap_goes_to_the_smaller_value_whatever_the_order_of_files():
    files = patient()
    for ordered in (files, dict(reversed(files.items()))):
        labels = convert("pt_1", ordered).labels
        assert np.count_nonzero(labels == 1) == np.count_nonzero(STEM)
        assert np.count_nonzero(labels == 2) == np.count_nonzero(CORD & ~STEM) > 0


def test_only_files_that_are_there_are_annotated():
    assert convert("pt_1", patient()).annotated == ("BrainStem", "SpinalCord", "GlnD_Parotid_L")
    assert "BrainStem" not in convert("pt_1", patient(Brainstem=None)).annotated


@pytest.mark.parametrize(("name", "content"), [
    ("Brainstem", b"index,data\n1,\n"),
    ("Brainstem", b",data\n12,\nabc"),
    ("Brainstem", b",data\n2097152,\n"),
    ("ct", b",data\n1,5.0\n2,"),
    ("ct", b",data\n1,nan\n"),
    ("ct", b"<html>rate limit</html>"),
    ("voxel_dimensions", b"4.5\n4.5\n"),
    ("voxel_dimensions", b"4.5\n0.0\n3.0\n"),
])
def test_other_content_is_refused_by_name(name, content):
    with pytest.raises(DataError) as error:
        convert("pt_7", patient(**{name: content}))
    assert f"pt_7/{name}.csv" in str(error.value) and error.value.exit_code == 3


RULES = Plausible(minimum_body_voxels=300,
                  volume_cm3={"BrainStem": (1, 10), "GlnD_Parotid_L": (1, 10), "Larynx": (1, 10), "PTV70": (1, 1000)})


def test_plausible_patient_passes_though_structures_are_missing():
    assert RULES.problems(convert("pt_1", patient())) == []


def test_blanked_slices_matter_only_where_contours_are():
    blanked = np.where(BODY & ~block((0, 128), (0, 128), (58, 60)), 1040.0, 0.0)
    assert "2 slice(s)" in " ".join(RULES.problems(convert("pt_1", patient(ct=sparse(blanked, True)))))
    without = patient(ct=sparse(blanked, True), SpinalCord=None)
    assert RULES.problems(convert("pt_1", without)) == []


def test_implausible_volume_is_named():
    huge = patient(Brainstem=sparse(block((48, 60), (40, 70), (25, 55))))
    assert [problem.split()[0] for problem in RULES.problems(convert("pt_1", huge))] == ["BrainStem"]
    empty_target = patient(PTV70=b",data\n")
    assert [problem.split()[0] for problem in RULES.problems(convert("pt_1", empty_target))] == ["PTV70"]


def spec_of(repository, slot, root):
    node = OmegaConf.create({"data": {"root": str(root)}, "dataset": OmegaConf.load(repository / f"conf/dataset/openkbp_{slot}.yaml")})
    return instantiate(node.dataset, _convert_="all")


def test_no_patient_is_trained_on_twice_and_every_value_is_accounted_for(repository, tmp_path):
    specs = [spec_of(repository, slot, tmp_path) for slot in SLOTS]
    trained = list(chain.from_iterable(spec.layout.train_include for spec in specs))
    assert [len(spec.layout.train_include) for spec in specs] == [34, 12, 12, 12]
    assert len(set(trained)) == len(trained) == 70
    assert [sorted(spec.known_values()) for spec in specs] == [list(range(8))] * 3 + [[0, 1]]
    assert specs[3].labels == (Label("PTV70", ("PTV70",), (1,)),) and specs[3].decoder_of("PTV70").group == "Lesion"
    fetched = set(OmegaConf.load(repository / "conf/data/openkbp.yaml").fetch.patients)
    assert set(trained) < fetched and len(fetched) == 99


def test_orders_use_the_slots(repository):
    slots = [entry for entry in OmegaConf.load(repository / "conf/data/openkbp.yaml").defaults]
    assert [next(iter(entry)).split(".")[-1] for entry in slots] == list(SLOTS)
    for path in (repository / "conf/order").glob("openkbp*.yaml"):
        assert sorted(OmegaConf.load(path).steps) == list(SLOTS), path


@pytest.mark.shared
def test_counts_on_the_real_table(repository, shared):
    expected = {"s0": {"BrainStem": (34, 24), "SpinalCord": (34, 29), "Bone_Mandible": (34, 21), "GlnD_Parotid_L": (34, 29),
                       "GlnD_Parotid_R": (34, 29)},
                "s1": {"Larynx": (12, 24), "SpinalCord": (12, 29)},
                "s2": {"Eso": (12, 15), "GlnD_Parotid_L": (12, 29), "GlnD_Parotid_R": (12, 29)},
                "s3": {"PTV70": (12, 29)}}
    for slot, counts in expected.items():
        spec = spec_of(repository, slot, shared / "real_ct" / "openkbp")
        cases = [spec.cases(split) for split in ("train", "test")]
        assert {name: tuple(sum(name in case.annotated for case in split) for split in cases) for name in counts} == counts
        assert [len(split) for split in cases] == [34 if slot == "s0" else 12, 29]
    everybody = spec_of(repository, "all", shared / "real_ct" / "openkbp")
    assert [len(everybody.cases(split)) for split in ("train", "test")] == [70, 29] and len(everybody.labels) == 7

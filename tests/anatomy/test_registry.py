"""The registry as shipped, and that each of its checks refuses what it is there for."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from importlib import resources

import pytest
import yaml

from clnet.anatomy import registry
from clnet.anatomy.graph import level_by_decoder
from clnet.errors import UsageError
from clnet.types import Decoder, Structure


@pytest.fixture(scope="module")
def known() -> registry.Registry:
    return registry.load()


def test_counts_are_the_papers(known):
    """CL-Net, Table S5 and Fig. 3."""
    assert len(known.structures) == 235 and len(known.decoders) == 101
    assert Counter(decoder.group for decoder in known.decoders.values()) == {
        "Head & Neck": 28, "Chest": 31, "Abdomen": 19, "Bone": 11, "LNS": 2, "Lesion": 9, "Body": 1}
    assert Counter(structure.group for structure in known.structures.values()) == {
        "Head & Neck": 49, "Chest": 52, "Abdomen": 28, "Bone": 63, "LNS": 33, "Lesion": 9, "Body": 1}
    assert Counter(decoder.fl_level for decoder in known.decoders.values()) == {0: 73, 1: 25, 2: 3}


def test_decoders_partition_the_structures(known):
    assert sorted(name for decoder in known.decoders.values() for name in decoder.structures) == sorted(known.structures)
    assert all(known.decoder_of(name).name == structure.decoder for name, structure in known.structures.items())


def test_supporters_come_first(known):
    done = set()
    for name, decoder in known.decoders.items():
        assert done.issuperset(decoder.supporters), name
        done.add(name)
    assert known.decoders["Chiasm"].supporters == ("OpticNerve", "GlnD_Pituitary") and known.decoders["Chiasm"].fl_level == 2


def test_only_the_larynx_is_nested(known):
    assert [name for name, decoder in known.decoders.items() if decoder.nested] == ["Larynx"]


@pytest.mark.parametrize(("alias", "names"), [
    ("A_Aorta", ("A_Aorta_Arch", "A_Aorta_Ascending", "A_Aorta_Descending")), ("Kidney", ("Kidney_L", "Kidney_R")),
    ("GlnD_Thyroid", ("GlnD_Thyroid_L", "GlnD_Thyroid_R")), ("GlnD_Adrenal", ("GlnD_Adrenal_L", "GlnD_Adrenal_R")),
    ("Bone_Mandible", ("Bone_Mandible_L", "Bone_Mandible_R")), ("BrachialPlexus", ("BrachialPlexus_L", "BrachialPlexus_R")),
    ("ProximalBronchi", ("Bronchus_L", "Bronchus_R")), ("Eye.AL", ("Eye_L",)), ("Eye_PR", ("Eye_R",)), ("Prostate/Uterus", ("Prostate",)),
    ("V.InternalJuguar.L", ("V_InternalJugular_L",)), ("Skull", ("Bone_Skull",)), ("A_CeliacTrunk", ()), ("Liver", ("Liver",))])
def test_resolve(known, alias, names):
    assert known.resolve(alias) == names


def test_every_listed_spelling_resolves_as_listed(known):
    text = (resources.files("clnet.anatomy") / "facts" / "aliases.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert len({row["alias"] for row in rows}) == len(rows) > 500
    assert all(known.resolve(row["alias"]) == tuple(filter(None, row["canonical"].split(";"))) for row in rows)


def test_unknown_names_get_neighbours(known):
    with pytest.raises(UsageError, match="Pancreas"):
        known.resolve("Pancraes")
    with pytest.raises(UsageError, match="GlnD_Parotid_L"):
        known.decoder_of("GlnD_Parotid_l")


def test_with_decoders_adds_and_leaves_the_original(known):
    target = Decoder("PTV70", "Lesion", ("PTV70",), supporters=("Chiasm",))
    more = known.with_decoders([target])
    assert more.decoder_of("PTV70").fl_level == 3 and list(more.decoders)[-1] == "PTV70"
    assert "PTV70" not in known.decoders and len(more.decoders) == 102
    assert more.with_decoders([target]).decoders == more.decoders, "the same declaration again, from a second dataset, changes nothing"


@pytest.mark.parametrize("extra", [
    Decoder("Other", "Abdomen", ("Liver",)), Decoder("Liver", "Abdomen", ("Liver", "Liver_Caudate")),
    Decoder("PTV70", "Lesion", ("PTV70",), supporters=("Nobody",)), Decoder("PTV70", "Lesion", ("PTV70",), supporters=("PTV70",))])
def test_with_decoders_refuses(known, extra):
    with pytest.raises(UsageError):
        known.with_decoders([extra])


def test_cycles_and_levels():
    assert level_by_decoder({"c": ("a", "b"), "b": ("a",), "a": ()}) == {"a": 0, "b": 1, "c": 2}
    with pytest.raises(UsageError, match="cycle"):
        level_by_decoder({"a": ("b",), "b": ("a",)})


def test_stated_levels_must_follow_from_the_graph(known):
    registry.check_levels(known, known.decoders)
    with pytest.raises(UsageError, match="fl_level"):
        registry.check_levels(known, {**known.decoders, "Chiasm": replace(known.decoders["Chiasm"], fl_level=1)})


def test_a_spelling_has_one_meaning():
    structures = {name: Structure(name, "Abdomen", name) for name in ("Liver", "Spleen")}
    one = [{"alias": "L", "canonical": "Liver"}]
    assert registry.read_aliases([], one, structures)["L"] == ("Liver",)
    for rows, alias_rows in [([], one * 2), ([], [*one, {"alias": "Spleen", "canonical": "Liver"}]),
                             ([{"name": "Spleen", "aliases": "L"}], one), ([], [{"alias": "K", "canonical": "Kidney"}])]:
        with pytest.raises(UsageError):
            registry.read_aliases(rows, alias_rows, structures)


def test_stated_counts_are_checked(known):
    table = yaml.safe_load((resources.files("clnet.anatomy") / "facts" / "decoders.yaml").read_text(encoding="utf-8"))
    registry.check_counts(known, table, 235, 101)
    with pytest.raises(UsageError, match="number of structures"):
        registry.check_counts(known, table, 236, 101)
    table["groups"]["Bone"]["decoders"] = 12
    with pytest.raises(UsageError, match="per group"):
        registry.check_counts(known, table, 235, 101)

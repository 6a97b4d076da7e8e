"""Merging of one scan: hand-worked voxels, and any order of adding against a plain reference that holds everything in float64."""

import tracemalloc
from itertools import permutations

import numpy as np
import pytest

from clnet.infer.exclusive import claim_strength, entropy_order
from clnet.infer.merge import lesion_weight, voxel_entropy
from clnet.infer.merging import merging_rules
from clnet.infer.scanmerger import ScanMerger
from clnet.types import Label, Part

KIDNEY = Part("Kidney", (Label("Kidney_L", ("Kidney_L",)), Label("Kidney_R", ("Kidney_R",))), "k")
LIVER = Part("Liver", (Label("Liver", ("Liver",)),), "l")
SPLEEN = Part("Spleen", (Label("Spleen", ("Spleen",)),), "s")
LESION = Part("Kidney_Lesion", (Label("Kidney_Lesion", ("Kidney_Lesion",)),), "e")
BODY = Part("Body", (Label("Body", ("Body",)),), "b")
LARYNX = Part("Larynx", (Label("Larynx", ("Larynx",)), Label("Larynx_Glottic", ("Larynx_Glottic",))), "y", nested=True)
RULES = {"exclusive": {"abdomen": ["Kidney", "Liver", "Spleen", "Larynx"]}, "lesions": {"Kidney_Lesion": ["Kidney"], "NPC_Lesion": []}}


def line(*values) -> np.ndarray:
    """One slice of one row."""
    return np.array([[values]], np.uint8)


def slices(*values) -> np.ndarray:
    """One voxel a slice."""
    return np.array(values, np.uint8).reshape(-1, 1, 1)


def merged(predictions, inside=None, options=None, parts=None):
    """Part name -> merged map, flat; predictions: (part, label map, confidence) in the order of adding."""
    rules = merging_rules(**RULES, **(options or {}))
    merger = ScanMerger(rules, parts or [part for part, _, _ in predictions], inside or {}, predictions[0][1].shape)
    returned = {part.name: merger.add(part, label_map, confidence) for part, label_map, confidence in predictions}
    maps = {part.name: merger.masks(part) if returned[part.name] is None else returned[part.name] for part, _, _ in predictions}
    return {name: label_map.ravel().tolist() for name, label_map in maps.items()}


def test_the_surer_of_two_organs_wins():
    # Both M = 1. Y = 230/255 = 0.902: H = 0.902 * 0.103 = 0.093; Y = 150/255 = 0.588: H = 0.588 * 0.531 = 0.312. The smaller wins.
    result = merged([(KIDNEY, line(1, 2, 0, 2), line(230, 150, 0, 255)), (LIVER, line(1, 1, 1, 0), line(150, 230, 130, 0))])
    assert result == {"Kidney": [1, 0, 0, 2], "Liver": [0, 1, 1, 0]}


def test_a_lesion_wins_over_its_organ_where_the_organ_can_be():
    # With the lesion's probability in (8). Lesion M = 1, Y = 204/255 = 0.8: H = 0.8 * 0.2231 = 0.1785.
    # Kidney M = 1 - 0.8/2 = 0.6, Y = 1: M Y = 0.6, H = 0.6 * 0.5108 = 0.3065.
    # Beside it, lesion Y = 128/255 = 0.502: H = 0.346; kidney M = 0.749, Y = 1: H = 0.216: a lesion only half believed loses to it.
    # With 1 where it is predicted: kidney M = 0.5, Y = 1: H = 0.3466; the lesion's at 0.502 is 0.3459, just smaller.
    predictions = [(LESION, line(1, 1), line(204, 128)), (KIDNEY, line(1, 1), line(255, 255))]
    assert merged(predictions, {"Kidney": np.array([True])}, {"soft_lesions": True}) == {"Kidney_Lesion": [1, 0], "Kidney": [0, 1]}
    assert merged(predictions, {"Kidney": np.array([True])}) == {"Kidney_Lesion": [1, 1], "Kidney": [0, 0]}


def test_outside_its_organs_range_a_lesion_loses_to_any_organ_and_is_dropped_alone():
    # Slice 0 outside: lesion M = 0.5, Y = 1: H = 0.3466; liver M = 1, Y = 130/255 = 0.51: H = 0.51 * 0.674 = 0.3435, just smaller.
    # Slice 1 outside, alone. Slice 2 inside: lesion H = 0; the liver loses. Slice 3 outside: even a liver of 0.39, no candidate, wins.
    lesion, liver = (LESION, slices(1, 1, 1, 1), slices(255, 255, 255, 255)), (LIVER, slices(1, 0, 1, 1), slices(130, 0, 130, 100))
    inside = {"Kidney": np.array([False, False, True, False])}
    assert merged([lesion, liver], inside) == {"Kidney_Lesion": [0, 0, 1, 0], "Liver": [1, 0, 0, 1]}
    kept = merged([lesion, liver], inside, {"drop_lesions_outside": False})
    assert kept == {"Kidney_Lesion": [0, 1, 1, 0], "Liver": [1, 0, 0, 1]}


def test_a_lesion_without_organ_covers_the_image_and_competes_with_nobody():
    npc = Part("NPC_Lesion", (Label("NPC_Lesion", ("NPC_Lesion",)),), "n")
    result = merged([(npc, slices(1, 1), slices(200, 200)), (LIVER, slices(1, 1), slices(255, 255))], {"NPC_Lesion": np.zeros(2, bool)})
    assert result == {"NPC_Lesion": [1, 1], "Liver": [1, 1]}


def test_equal_entropies_go_to_the_more_probable_then_to_the_first_part():
    # Kidney: lesion 254/255, M = 1 - 254/510 = 256/510, Y = 1: M Y = 256/510. Liver: M = 1, Y = 128/255 = 256/510. Equal H.
    kidney = claim_strength(np.array([255], np.uint8), np.array([254], np.uint8), True, 128)
    liver = claim_strength(np.array([128], np.uint8), 0, True, 128)
    assert kidney > liver and kidney >> np.uint32(8) == liver >> np.uint32(8)
    # With the same Y as well, the first part wins, in whatever order they are added.
    claims = [(LIVER, line(1, 1), line(128, 200)), (SPLEEN, line(1, 1), line(128, 200))]
    for order in (claims, claims[::-1]):
        assert merged(order, parts=[LIVER, SPLEEN]) == {"Liver": [1, 1], "Spleen": [0, 0]}
        assert merged(order, parts=[SPLEEN, LIVER]) == {"Liver": [0, 0], "Spleen": [1, 1]}


def test_below_one_half_only_without_candidates():
    # Voxel 0: 0.49 alone stays. Voxel 1: 0.49 against a candidate of 0.51 loses. Voxel 2: 0.1 has the smaller H (0.23 against 0.36), but
    # is the less probable of two that are no candidates, and loses.
    result = merged([(KIDNEY, line(1, 1, 2), line(125, 125, 25)), (LIVER, line(0, 1, 1), line(0, 130, 100))])
    assert result == {"Kidney": [1, 0, 0], "Liver": [0, 1, 1]}


def test_structures_that_overlap_stay_and_all_are_bounded():
    """Parts in no set and nested parts, even one that a set lists: both keep what others claim too."""
    inside = {"Body": np.array([True, True, False]), "Larynx": np.array([False, True, True]), "Liver": np.array([True, False, True])}
    liver = slices(1, 1, 1)
    result = merged([(BODY, slices(1, 1, 1), None), (LARYNX, slices(3, 3, 2), None), (LIVER, liver, slices(200, 200, 200))], inside)
    assert result == {"Body": [1, 1, 0], "Larynx": [0, 3, 2], "Liver": [1, 0, 1]}
    assert liver.ravel().tolist() == [1, 1, 1]  # the caller's array is as it was


def test_union_labels_keep_their_names_and_numbers():
    unsided = Part("Kidney", (Label("Kidney", ("Kidney_L", "Kidney_R")),), "k")
    merger = ScanMerger(merging_rules(**RULES), [LIVER, unsided], {}, (1, 1, 3))
    assert merger.add(unsided, line(1, 1, 0), line(250, 130, 0)) is None
    merger.add(LIVER, line(0, 1, 1), line(0, 200, 200))
    assert merger.names == {"abdomen": {1: "Liver", 2: "Kidney"}}
    assert merger.set_map("abdomen").tolist() == [[[2, 1, 1]]] and merger.set_map("abdomen").dtype == np.uint8
    assert unsided.mask(merger.masks(unsided), ("Kidney_L", "Kidney_R")).tolist() == [[[True, False, False]]]


def test_more_than_255_structures():
    wide = Part("Liver", tuple(Label(f"s{k}", (f"s{k}",)) for k in range(250)), "w")
    merger = ScanMerger(merging_rules(**RULES), [wide, KIDNEY, LESION], {}, (1, 1, 2))
    for part, labels in ((LESION, line(0, 0)), (KIDNEY, line(0, 2)), (wide, line(250, 0))):
        merger.add(part, labels, (labels > 0) * np.uint8(255))
    assert merger.set_map("abdomen").dtype == np.uint8 and merger.set_map("abdomen").tolist() == [[[250, 252]]]
    merger = ScanMerger(merging_rules(**RULES), [wide, Part("Spleen", wide.labels, "v")], {}, (1, 1, 2))
    merger.add(wide, line(250, 0))
    merger.add(Part("Spleen", wide.labels, "v"), line(0, 250))
    assert merger.set_map("abdomen").dtype == np.uint16 and merger.set_map("abdomen").tolist() == [[[250, 500]]]


def test_misuse_is_refused():
    merger = ScanMerger(merging_rules(**RULES), [KIDNEY, LESION, BODY], {}, (1, 1, 2))
    with pytest.raises(ValueError, match="before its lesions"):
        merger.add(KIDNEY, line(1, 0), line(255, 0))
    with pytest.raises(ValueError, match="not awaited"):
        merger.add(LIVER, line(1, 0), line(255, 0))
    with pytest.raises(ValueError, match="shape"):
        merger.add(LESION, line(1), line(255))
    merger.add(LESION, line(1, 0), line(255, 0))
    with pytest.raises(ValueError, match="not awaited"):
        merger.add(LESION, line(1, 0), line(255, 0))
    with pytest.raises(ValueError, match="waits for"):
        merger.masks(LESION)
    with pytest.raises(ValueError, match="came back"):
        merger.masks(BODY)
    with pytest.raises(ValueError, match="slices"):
        ScanMerger(merging_rules(**RULES), [KIDNEY], {"Kidney": np.ones(3, bool)}, (1, 1, 2))


def test_entropies_are_told_apart_where_float32_is_not_enough():
    entropy = voxel_entropy(1.0, np.arange(1, 130051) / 130050)
    assert len(np.unique(entropy)) == 130050 > len(np.unique(entropy.astype(np.float32)))
    assert (np.diff(entropy[np.argsort(entropy_order()[1:])]) < 0).all()


# --- against a plain reference -----------------------------------------------------------------------------------------------------

SHAPE = (6, 3, 40)
MANY = {
    "exclusive": {"abdomen": ["Liver", "Kidney", "Colon", "Stomach"], "lobes": ["LL", "RL"]},
    "lesions": {"Kidney_Lesion": ["Kidney"], "Gastric_Lesion": ["Colon", "Stomach"], "Second_Kidney_Lesion": ["Kidney"], "NPC_Lesion": []},
}
NAMES = ["Liver", "Kidney_Lesion", "Kidney", "LL", "Colon", "NPC_Lesion", "RL", "Stomach", "Gastric_Lesion", "Body", "Second_Kidney_Lesion"]


def random_scan(seed):
    """Parts, predictions by part name, ranges; confidences from few values, so that ties are common."""
    rng = np.random.default_rng(seed)
    parts, predictions = [], {}
    for name in NAMES:
        count = 1 if "Lesion" in name or name == "Liver" else 2
        parts.append(Part(name, tuple(Label(f"{name}{i}", (f"{name}{i}",)) for i in range(count)), name))
        label_map = rng.integers(0, count + 1, SHAPE, dtype=np.uint8) * (rng.random(SHAPE) < 0.6).astype(np.uint8)
        levels = np.array([90, 120, 128, 128, 150, 254, 255] if count > 1 else [128, 140, 200, 254, 255], np.uint8)
        predictions[name] = (label_map, rng.choice(levels, SHAPE) * (label_map > 0))
    inside = {name: rng.random(SHAPE[0]) < 0.7 for name in NAMES if name not in ("Stomach", "Body")}
    return parts, predictions, inside


def reference(parts, predictions, inside, drop):
    """Name -> merged map: equations (7)-(11) with notes 19 and 21, voxel by voxel, all probabilities held."""
    lesions, maps = MANY["lesions"], {}
    whole = np.ones(SHAPE[0], bool)
    organs = {part.name: lesions.get(part.name, [part.name]) for part in parts}
    ranges = {n: np.any([inside.get(o, whole) for o in of], axis=0) if of else whole for n, of in organs.items()}
    cut = {p.name: ranges[p.name][:, None, None] if p.name not in lesions else np.ones((1, 1, 1), bool) for p in parts}
    labels = {name: predictions[name][0] * cut[name] for name in organs}
    certainty = {name: predictions[name][1] / 255.0 * (labels[name] > 0) for name in organs}
    for name in organs:
        maps[name] = labels[name].copy()
    for members in MANY["exclusive"].values():
        claimants = [p.name for p in parts if p.name in members or set(lesions.get(p.name, ())) & set(members)]
        for voxel in np.ndindex(SHAPE):
            keys = []
            for place, name in enumerate(claimants):
                if not labels[name][voxel]:
                    continue
                own = [certainty[lesion][voxel] for lesion, of in lesions.items() if name in of]
                weight, p = lesion_weight(float(ranges[name][voxel[0]]), max(own, default=0.0)), certainty[name][voxel]
                outside = name in lesions and not ranges[name][voxel[0]]
                if p >= 0.5 and not outside:
                    keys.append((0, round(float(voxel_entropy(weight, p)), 12), -p, place, name))
                else:
                    keys.append((2 if outside else 1, round(-float(weight * p), 12), -p, place, name))
            winner = min(keys)[-1] if keys else None
            for name in claimants:
                if name != winner or (min(keys)[0] == 2 and drop):
                    maps[name][voxel] = 0
    return maps


@pytest.mark.parametrize("drop", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_adding_gives_the_reference(seed, drop):
    parts, predictions, inside = random_scan(seed)
    expected = reference(parts, predictions, inside, drop)
    rules = merging_rules(**MANY, drop_lesions_outside=drop, soft_lesions=True)
    rng = np.random.default_rng(100 + seed)
    for _ in range(6):
        merger = ScanMerger(rules, parts, inside, SHAPE)
        order = rules.lesions_first([parts[i] for i in rng.permutation(len(parts))])
        returned = {part.name: merger.add(part, *predictions[part.name]) for part in order}
        for part in parts:
            result = returned[part.name] if returned[part.name] is not None else merger.masks(part)
            assert (result == expected[part.name]).all(), part.name
        for name, members in MANY["exclusive"].items():
            own = [p for p in parts if p.name in members or set(MANY["lesions"].get(p.name, ())) & set(members)]
            names = np.array(["", *merger.names[name].values()])[merger.set_map(name)]
            for part in own:
                for index, label in enumerate(part.labels, start=1):
                    assert ((names == label.name) == (expected[part.name] == index)).all()


def test_candidates_follow_equation_11_to_the_letter():
    """With all probabilities at least one half, neither the threshold nor the rank of lesions outside changes what (8)-(11) say."""
    rng = np.random.default_rng(7)
    size = 4000
    level = {name: rng.integers(128, 256, size) for name in ("Liver", "Kidney", "Kidney_Lesion")}
    present = {name: rng.random(size) < 0.7 for name in level}
    inside = rng.random(size) < 0.5
    present["Kidney"] &= inside
    y = {name: present[name] * level[name] / 255 for name in level}
    weight = {"Liver": np.ones(size), "Kidney": lesion_weight(inside, y["Kidney_Lesion"]), "Kidney_Lesion": lesion_weight(inside, 0.0)}
    entropy = np.stack([np.where(present[name], np.round(voxel_entropy(weight[name], y[name]), 12), np.inf) for name in level])
    winner = np.where(np.isinf(entropy).all(axis=0), 0, 1 + np.lexsort((-np.stack([y[n] for n in level]), entropy), axis=0)[0])
    parts = [LIVER, Part("Kidney", LIVER.labels, "k"), LESION]
    merger = ScanMerger(merging_rules(**RULES, drop_lesions_outside=False, soft_lesions=True), parts, {"Kidney": inside}, (size, 1, 1))
    for part in (parts[2], parts[0], parts[1]):
        merger.add(part, *(np.uint8(v).reshape(-1, 1, 1) for v in (present[part.name], present[part.name] * level[part.name])))
    assert (merger.set_map("abdomen").ravel() == winner).all()


def test_every_permutation_of_three_organs_agrees():
    parts, shape = [LIVER, SPLEEN, KIDNEY], (2, 4, 5)
    rng = np.random.default_rng(3)
    claims = [(part, np.ones(shape, np.uint8), rng.choice(np.array([100, 128, 200], np.uint8), shape)) for part in parts]
    results = {str(sorted(merged(order, parts=parts).items())) for order in map(list, permutations(claims))}
    assert len(results) == 1


def test_memory_does_not_grow_with_the_number_of_parts():
    shape, count = (20, 64, 64), 30
    voxels = int(np.prod(shape))
    parts = [Part(f"d{i}", (Label(f"s{i}", (f"s{i}",)),), "x") for i in range(count)]
    rules = merging_rules({"all": [part.name for part in parts]}, {})
    label_map, confidence = np.zeros(shape, np.uint8), np.full(shape, 200, np.uint8)
    label_map[:, :32] = 1
    entropy_order()
    tracemalloc.start()
    try:
        merger = ScanMerger(rules, parts, {}, shape)
        for part in parts[:-1]:
            merger.add(part, label_map, confidence)
        held, peak = tracemalloc.get_traced_memory()
        assert held < 5.5 * voxels and peak < 9 * voxels  # 4 bytes of strength and 1 of value; classes x volume would be 30
        merger.add(parts[-1], label_map, confidence)
        assert tracemalloc.get_traced_memory()[0] < 1.5 * voxels  # the strengths are gone
    finally:
        tracemalloc.stop()

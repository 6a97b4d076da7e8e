"""Figure 1: what each dataset holds and which part of the body it shows; the paper's 43 datasets, and those of our runs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis import paper
from analysis.exhibit import Exhibit, Made, Picture
from analysis.exhibits.fingerprint_drawing import fingerprints
from analysis.exhibits.fingerprints import Fingerprint, Range, of_groups, of_paper
from analysis.groups import Group
from analysis.render import DASH, Table, number

COMMANDS = ("python run.py experiment=order1",)
SCALE = "Body part score: 0 at the bottom of the pelvis, 1 at the top of the head."


def make(groups: Sequence[Group]) -> Made:
    """The paper's fingerprints, and ours as far as run folders tell them."""
    tables = [paper_table()]
    pictures = [Picture(fingerprints(of_paper()), "figure1", "The paper's 36 datasets and 7 external test sets. Wide bands: part of the "
                        "body that the scans show, narrow bars: that the labels show (Table S1); bars of scans and targets grow with the "
                        "square root of their number.")]
    ours = of_groups(groups)
    if ours:
        tables.append(our_table(ours))
        pictures.append(Picture(fingerprints(ours), "figure1_ours", "The datasets of our runs, drawn alike; bars: part of the body that "
                                f"the training labels of their decoders show. {paper.caveat([entry.name for entry in ours])}"))
    return Made(tuple(tables), tuple(pictures), tuple(_missing(ours)))


def paper_table() -> Table:
    """The paper's datasets, as printed. Source: Tables S1 to S4."""
    rows = tuple((f"{entry.identifier} {entry.name}", entry.access, entry.body_group, _count(entry.training), _count(entry.test),
                  _targets(entry), _range(entry.images), _range(entry.labels)) for entry in of_paper())
    header = ("dataset", "access", "body group", "training", "test", "targets", "scans show", "labels show")
    notes = (f"{SCALE} Two numbers of targets: Table S1's, and how many its lists of targets name, where they differ. External sets (E) "
             "have test scans only and no printed ranges. The paper gives the names P1 to P16 and D1 to D20 in its figure alone; here "
             "they follow the rows of Table S1.",)
    return Table("figure1", "Figure 1: datasets of the paper", header, rows, _frame(of_paper()), notes)


def our_table(ours: Sequence[Fingerprint]) -> Table:
    """Our datasets, each with the paper's that it is or stands for, and how far the label ranges are apart."""
    known = {entry.slug: entry for entry in of_paper()}
    rows, differences = [], []
    for entry in ours:
        theirs = known.get(entry.slug)
        pair = (entry.labels, theirs.labels if theirs else None)
        apart = tuple(us - them for us, them in zip(*pair, strict=True)) if all(pair) else ()
        printed = [theirs.slug, _count(theirs.training), _count(theirs.test), _targets(theirs), _range(theirs.labels)] if theirs else []
        rows.append((entry.name, entry.source, entry.body_group or DASH, _count(entry.training), _count(entry.test), str(entry.targets),
                     _range(entry.labels), *(printed or [DASH] * 5), ", ".join(number(value, 2) for value in apart) or DASH))
        differences.append(apart or (None, None))
    ends = ["label_bottom_minus_paper", "label_top_minus_paper"]
    data = pd.concat([_frame(ours), pd.DataFrame(differences, columns=ends, dtype=float)], axis=1)
    header = ("dataset", "run", "body group", "training", "test", "labels", "labels show", "paper's dataset", "paper: training", "test",
              "targets", "labels show", "difference of bottom, top")
    notes = [f"{SCALE} Ours: lowest 5th percentile of the bottoms and highest 95th of the tops of the decoders that the dataset's labels "
             "belong to, over the training cases of all datasets that taught these decoders; decoders of lesions have no range. The scale "
             "is learned by body part regression on the first dataset of an order.", paper.caveat([entry.name for entry in ours])]
    loose = [entry.name for entry in ours if entry.labels and not entry.anchored]
    notes += [f"The scale behind {', '.join(loose)} was learned without scans of both ends of the body: its 0 and 1 are the ends of what "
              "it saw."] if loose else []
    return Table("figure1_ours", "Figure 1: datasets of our runs", header, tuple(rows), data, tuple(notes))


def _missing(ours: Sequence[Fingerprint]) -> list[str]:
    if not ours:
        return ["None of our runs is here, so there is no dataset of ours."]
    old = [entry.name for entry in ours if entry.training is None]
    rangeless = [entry.name for entry in ours if entry.labels is None]
    sentences = [f"The manifest of the run does not say how many training cases these datasets have: {', '.join(old)}; the same command "
                 "again adds it."] if old else []
    sentences += [f"No body part range of labels is known for {', '.join(rangeless)}: lesions have none, nor do runs without body part "
                  "regression."] if rangeless else []
    return [*sentences, "Run folders do not record which part of the body the scans themselves show."]


def _frame(entries: Sequence[Fingerprint]) -> pd.DataFrame:
    rows = []
    for entry in entries:
        (image_bottom, image_top), (label_bottom, label_top) = entry.images or (None, None), entry.labels or (None, None)
        rows.append({"identifier": entry.identifier, "dataset": entry.name, "slug": entry.slug, "run": entry.source, "access": entry.access,
                     "body_group": entry.body_group, "training_cases": entry.training, "test_cases": entry.test, "targets": entry.targets,
                     "listed_targets": entry.listed, "image_bottom": image_bottom, "image_top": image_top, "label_bottom": label_bottom,
                     "label_top": label_top})
    return pd.DataFrame(rows).astype(dict.fromkeys(("training_cases", "test_cases", "listed_targets"), "Int64"))


def _count(value: int | None) -> str:
    return DASH if value is None else f"{value:,}"


def _targets(entry: Fingerprint) -> str:
    return str(entry.targets) + (f" ({entry.listed} listed)" if entry.listed not in (None, entry.targets) else "")


def _range(pair: Range | None) -> str:
    return DASH if pair is None else " to ".join(number(value, 2) for value in pair)


EXHIBITS = (Exhibit("Figure 1", "Dataset fingerprints: scans, targets and the part of the body that they show", COMMANDS, make),)

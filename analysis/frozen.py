"""What each step left as it was: networks whose weights have the hash that they had before, by run and step."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from analysis.decoders import frozen_by_step
from analysis.load import Run
from analysis.render import Table

NOTE = ("Encoder, decoders and the decoders that only support others, by the SHA-256 of their weights, compared with the step before; the "
        "hashes are in weights.csv of the run folder (runs without one: of the decoders alone). before: networks from earlier steps. "
        "updated: trained again in the step. A run stops with an error where frozen weights change.")


def frozen_table(runs: Mapping[str, Run]) -> Table | None:
    """One row per run and step; None where no run tells of its networks."""
    data = [{"run": label, "step": one.step, "trained_on": one.trained_on, "before": one.before, "unchanged": one.unchanged,
             "updated": len(one.updated), "new": one.new, "changed_without_training": len(one.changed),
             "not_listed_any_more": len(one.absent), "updated_names": " ".join(one.updated), "changed_names": " ".join(one.changed),
             "absent_names": " ".join(one.absent)}
            for label, run in runs.items() for one in frozen_by_step(run.networks)]
    if not data:
        return None
    rows = tuple((line["run"], f"S{line['step']}", line["trained_on"],
                  *(str(line[key]) for key in ("before", "unchanged", "updated", "new", "changed_without_training", "not_listed_any_more")))
                 for line in data)
    header = ("run", "step", "trained on", "before", "unchanged", "updated", "new", "changed without training", "not listed any more")
    without = [label for label, run in runs.items() if run.networks.empty]
    notes = (NOTE, *([f"Not told: {', '.join(without)}."] if without else []))
    return Table("frozen", "Networks that stayed frozen", header, rows, pd.DataFrame(data), notes)


def broken(runs: Mapping[str, Run]) -> list[str]:
    """A sentence on each step that changed, or lost, a network without training it."""
    return [f"{label}, {one}" for label, run in runs.items() for one in frozen_by_step(run.networks) if one.changed or one.absent]

"""The tables of parts and sizes: each decoder's parameters and weights' hash per step, and the footprint of the whole."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.load import Run
from analysis.render import DASH, Table, number

NOMINAL = ("sum T': sum over decoders of the share 1 - T that pruning left, in full decoders. nominal M: the paper's count, 15.65 M x "
           "(1 + sum T') (Table 1).")


@dataclass(frozen=True)
class Frozen:
    """What one step did to the networks that existed before it: `changed` ones have other weights though nothing trained them."""

    step: int
    trained_on: str
    before: int
    unchanged: int
    updated: tuple[str, ...]
    changed: tuple[str, ...]
    absent: tuple[str, ...]
    new: int

    def __str__(self) -> str:
        parts = [f"frozen: {self.unchanged} of {self.before} unchanged"] if self.before else []
        parts += [f"{len(self.updated)} updated ({', '.join(self.updated)})"] if self.updated else []
        parts += [f"{self.new} new"] if self.new else []
        parts += [f"{len(self.absent)} NOT LISTED ANY MORE ({', '.join(self.absent)})"] if self.absent else []
        parts += [f"{len(self.changed)} CHANGED WITHOUT TRAINING ({', '.join(self.changed)})"] if self.changed else []
        return f"S{self.step} ({self.trained_on}): {', '.join(parts)}"


def frozen_by_step(networks: pd.DataFrame) -> list[Frozen]:
    """Compare the weights' hashes of each step with those of the step before; `Run.networks`."""
    found, known = [], {}
    for step, rows in networks.sort_values("step", kind="stable").groupby("step"):
        now = dict(zip(rows["network"], rows["weights_sha256"], strict=True))
        trained = set(rows.loc[rows["updated"], "network"])
        kept = [name for name in known if name in now and name not in trained]
        found.append(Frozen(int(step), rows["trained_on"].iloc[0], len(known), sum(now[name] == known[name] for name in kept),
                            tuple(name for name in known if name in trained), tuple(name for name in kept if now[name] != known[name]),
                            tuple(name for name in known if name not in now), sum(name not in known for name in now)))
        known |= now
    return found


def decoder_table(run: Run) -> Table | None:
    """One row per decoder as of its latest step, then its weights' hash after each step; None where the run has no decoders."""
    if run.decoders.empty:
        return None
    table = run.decoders.sort_values("step", kind="stable")
    steps = sorted(table["step"].unique())
    rows = []
    for name, mine in table.groupby("decoder", sort=False):
        last, at = mine.iloc[-1], mine.set_index("step")
        hashes, previous = [], None
        for step in steps:
            if step not in at.index:
                hashes.append(DASH)
                continue
            now, trained = at.loc[step, "weights_sha256"], at.loc[step, "updated"]
            note = "trained" if trained or previous is None else "=" if now == previous else "CHANGED"
            hashes.append(f"{now[:8]} {note}")
            previous = now
        rows.append((name, last["group"], str(len(last["structures"].split())), integer(last["parameters"]),
                     integer(last["nonzero_parameters"]), number(last["pruning_rate_percent"], 1), number(last["nominal_share"], 3),
                     number(last["validation_dsc_before"]), number(last["validation_dsc_after"]), integer(last["rounds"]), *hashes))
    final = table[table["step"] == steps[-1]]
    rows.append((f"{len(final)} decoders", "", str(final["structures"].str.split().str.len().sum()), integer(final["parameters"].sum()),
                 integer(final["nonzero_parameters"].sum()), mean(final["pruning_rate_percent"], 1),
                 number(final["nominal_share"].sum(min_count=1)), mean(final["validation_dsc_before"]),
                 mean(final["validation_dsc_after"]), "", *[""] * len(steps)))
    header = ("decoder", "group", "structures", "parameters", "non-zero", "pruned %", "nominal share", "val. DSC before", "after", "rounds",
              *(f"SHA-256 S{step}" for step in steps))
    notes = ("SHA-256 of the weights, first 8 digits, after each step; trained: learned or updated in it; =: identical to the step before. "
             "nominal share: the paper's 1 - T, in full decoders. Last row: after the last step.", *map(str, frozen_by_step(run.networks)))
    return Table("decoders", "Decoders", header, tuple(rows), table, notes, frozenset({len(rows) - 1}))


def footprint_table(run: Run) -> Table | None:
    """Size, time and memory after each step; None where the run recorded none."""
    if run.footprint.empty:
        return None
    table = run.footprint.sort_values("step", kind="stable")
    rows = tuple((f"S{int(row['step'])}", row["trained_on"], integer(row["parameters"]), integer(row["nonzero_parameters"]),
                  number(row["nominal_share_sum"]), number(row["nominal_parameters_m"], 2), number(row["dense_bytes"] / 1e6, 2),
                  number(row["sparse_bytes"] / 1e6, 2), number(row["seconds"], 0), number(row["peak_memory_mib"], 0))
                 for _, row in table.iterrows())
    header = ("step", "trained on", "parameters", "non-zero", "sum T'", "nominal M", "dense MB", "sparse MB", "seconds", "peak MiB")
    return Table("footprint", "Footprint of all that inference needs", header, rows, table, (NOMINAL, "MB = 10^6 bytes."))


def mean(values: pd.Series, digits: int = 3) -> str:
    """`mean 0.912`, with `(n=7)` where only seven have a value; empty without any."""
    count = int(values.count())
    return f"mean {number(values.mean(), digits)}" + (f" (n={count})" if count < len(values) else "") if count else ""


def integer(value: float) -> str:
    """`12,345`, or an en dash where undefined."""
    return DASH if pd.isna(value) else f"{int(value):,}"

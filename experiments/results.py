"""The tables of a run: one row an observation, fixed columns, empty cells for what is undefined, always in the same order."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from clnet.atomic import write_text
from clnet.errors import DataError

_RUN = ("experiment", "order", "method", "seed", "step", "trained_on")
SCORES = (*_RUN, "dataset", "case", "structure", "stage", "dsc", "asd_mm", "hd95_mm", "nsd", "reference_voxels", "predicted_voxels",
          "status")
DECODERS = (*_RUN, "decoder", "group", "structures", "pruning_rate_percent", "parameters", "nonzero_parameters", "nominal_share",
            "validation_dsc_before", "validation_dsc_after", "rounds", "updated", "weights_sha256",
            "multiply_adds_m", "nonzero_multiply_adds_m")
FOOTPRINT = (*_RUN, "parameters", "nonzero_parameters", "nominal_share_sum", "nominal_parameters_m", "dense_bytes",
             "sparse_bytes", "seconds", "peak_memory_mib", "decoder_multiply_adds_m", "decoder_seconds")
_VOXELS = ("false_voxels_before", "false_voxels_after", "false_outside_before", "false_outside_after", "true_outside_before",
           "true_voxels_before", "true_voxels_after")
MERGING = (*_RUN, "dataset", "case", "structure", "decoder", *_VOXELS)
WEIGHTS = (*_RUN, "network", "weights_sha256", "updated")

STATUSES = ("ok", "missed", "false_positive", "both_empty", "not_annotated", "out_of_fov")
STAGES = ("premerge", "merged")

SCORES_OF = {"test": "scores.csv", "validation": "validation_scores.csv"}  # which cases -> the table that their scores are in
_TABLES = {**dict.fromkeys(SCORES_OF.values(), (SCORES, ("dataset", "case", "structure", "stage"))),
           "decoders.csv": (DECODERS, ("decoder",)), "footprint.csv": (FOOTPRINT, ()),
           "merging.csv": (MERGING, ("dataset", "case", "structure")), "weights.csv": (WEIGHTS, ("network",))}
_LATER = {"multiply_adds_m", "nonzero_multiply_adds_m", "decoder_multiply_adds_m", "decoder_seconds"}  # tables of old lack them
_WHOLE = {"seed", "step", "reference_voxels", "predicted_voxels", "parameters", "nonzero_parameters", "dense_bytes", "sparse_bytes",
          "rounds", *_VOXELS}
_REAL = {"dsc", "asd_mm", "hd95_mm", "nsd", "pruning_rate_percent", "nominal_share", "validation_dsc_before", "validation_dsc_after",
         "nominal_share_sum", "nominal_parameters_m", "seconds", "peak_memory_mib", *_LATER}
_FROM_0_TO_1 = {"dsc", "nsd", "validation_dsc_before", "validation_dsc_after"}


def write_scores(folder: Path | str, rows: Iterable[Mapping], cases: str = "test") -> Path:
    """scores.csv: one row per (experiment, order, method, seed, step, trained_on, dataset, case, structure, stage).

    cases: those of `validation` come into a file of another name, so that nothing takes them for test results.
    dsc and nsd in [0, 1], distances in mm; None or NaN becomes an empty cell. Raises ValueError for rows that are not of this table.
    """
    return _write(Path(folder) / SCORES_OF[cases], rows)


def write_decoders(folder: Path | str, rows: Iterable[Mapping]) -> Path:
    """decoders.csv: one row per step and decoder; `structures` may be a sequence of names. Raises ValueError as write_scores does."""
    return _write(Path(folder) / "decoders.csv", rows)


def write_footprint(folder: Path | str, rows: Iterable[Mapping]) -> Path:
    """footprint.csv: one row per step. Raises ValueError as write_scores does."""
    return _write(Path(folder) / "footprint.csv", rows)


def write_merging(folder: Path | str, rows: Iterable[Mapping]) -> Path:
    """merging.csv: one row per step and annotated (dataset, case, structure), numbers of voxels before and after merging, none empty.

    false: predicted, not in the reference; true: in both; outside: on slices outside the structure's body part range, so that
    true_outside_before is what bounding wrongly removes. Raises ValueError as write_scores does.
    """
    return _write(Path(folder) / "merging.csv", rows)


def write_weights(folder: Path | str, rows: Iterable[Mapping]) -> Path:
    """weights.csv: one row per step and network (encoder, decoders, decoders that only support others) with its content hash.

    updated: the step trained it. Raises ValueError as write_scores does.
    """
    return _write(Path(folder) / "weights.csv", rows)


def read(path: Path | str) -> list[dict]:
    """Rows of one of these tables with numbers as numbers and None for empty cells. Raises DataError for anything else."""
    path = Path(path)
    columns, _ = _TABLES[path.name]
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) not in (columns, tuple(name for name in columns if name not in _LATER)):
                raise DataError("a table with other columns", where=path, found=reader.fieldnames, expected=list(columns),
                                fix="run the same command again: tables are written anew from finished units")
            rows = list(reader)
        for number, row in enumerate(rows, 2):
            if None in row or None in row.values():
                raise ValueError(f"row {number} has not {len(columns)} cells")
        return [{name: _value(name, row.get(name, "")) for name in columns} for row in rows]
    except (ValueError, csv.Error, TypeError) as error:
        raise DataError("a damaged table", where=path, found=error, fix="run the same command again: it is written anew") from error


def _write(path: Path, rows: Iterable[Mapping]) -> Path:
    columns, own_key = _TABLES[path.name]
    key = (*_RUN[:5], *own_key)
    rows = sorted((dict(row) for row in rows), key=lambda row: tuple(_sortable(row.get(name)) for name in key))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    previous = None
    for row in rows:
        _check(row, columns, path.name)
        identity = tuple(row[name] for name in (*key, "trained_on"))
        if identity == previous:
            raise ValueError(f"{path.name}: two rows for {identity}")
        previous = identity
        writer.writerow([_cell(name, row[name]) for name in columns])
    write_text(path, text.getvalue())
    return path


def _check(row: Mapping, columns: Sequence[str], table: str) -> None:
    if set(row) != set(columns):
        raise ValueError(f"{table}: missing {sorted(set(columns) - set(row))}, unknown {sorted(set(row) - set(columns))}")
    if "status" in row and row["status"] not in STATUSES:
        raise ValueError(f"{table}: status {row['status']!r} is none of {STATUSES}")
    if "stage" in row and row["stage"] not in STAGES:
        raise ValueError(f"{table}: stage {row['stage']!r} is none of {STAGES}")
    for name in columns if columns is MERGING else _RUN:
        if row[name] is None or row[name] == "":
            raise ValueError(f"{table}: {name} is empty")


def _cell(name: str, value: object) -> str:
    """Text of one cell; floats in the shortest form that reads back to the same number."""
    if value is None or (name in _REAL and math.isnan(float(value))):
        return ""
    if name in _REAL:
        number = float(value)
        if math.isinf(number) or (name in _FROM_0_TO_1 and not 0 <= number <= 1):
            raise ValueError(f"{name} cannot be {number}")
        return repr(number)
    if name in _WHOLE:
        if isinstance(value, bool) or int(value) != value or value < 0:
            raise ValueError(f"{name} cannot be {value!r}")
        return str(int(value))
    if name == "updated":
        return "true" if value else "false"
    if name == "structures" and not isinstance(value, str):
        return " ".join(value)
    text = str(value)
    if text.lower() in ("nan", "inf", "-inf"):
        raise ValueError(f"{name} cannot be {text}")
    return text


def _value(name: str, cell: str) -> object:
    if cell == "":
        return None
    if name in _WHOLE:
        return int(cell)
    if name in _REAL:
        number = float(cell)
        if not math.isfinite(number):
            raise ValueError(f"{name} is {cell}")
        return number
    return cell == "true" if name == "updated" else cell


def _sortable(value: object) -> tuple:
    return (0, value, "") if isinstance(value, (int, float)) else (1, 0, str(value))

"""What `task=` can be: each takes the plain configuration and does one thing."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from clnet.atomic import write_json
from clnet.errors import DataError, UsageError
from clnet.learn.probe import Probed
from clnet.learn.progress import RunProgress
from clnet.types import Task
from clnet.units import UnitStore, rank
from experiments import gallery, manifest, results, runfolder
from experiments.mirror import mirror
from experiments.pipeline import (
    Preparation,
    datasets,
    encoder_datasets,
    encoder_tasks,
    evaluation_of,
    made,
    merged_evaluation_of,
    method_of,
    tasks_and_tests,
)


def run(cfg: Mapping) -> Path:
    """Learn the order's datasets one after the other, evaluate after every step, write the tables. Returns the run folder."""
    with runfolder.claim(Path(cfg["paths"]["run"]), cfg) as folder:
        progress, store = RunProgress(listener=runfolder.progress_note(folder)), UnitStore(Path(cfg["paths"]["units"]))
        progress.say(f"{cfg['name']}: {' -> '.join(cfg['order']['steps'])}, data={cfg['data']['name']}, seed={cfg['seed']}")
        method, tasks, tests, identities = ready(cfg, store, progress)
        if rank() == 0:
            sizes = manifest.described(tasks, {name: len(test.cases) for name, test in tests.items()})
            manifest.write(folder, manifest.collect(cfg, identities, sizes))
        evaluate = evaluation_of(cfg, store, progress)
        merge = merged_evaluation_of(cfg, evaluate) if hasattr(method, "body") else None
        tables: dict[str, list[dict]] = {"scores": [], "decoders": [], "footprint": [], "merging": [], "weights": []}
        if cfg["probe"]:
            found = probed(cfg, method, tasks[0], progress)
            if rank() == 0:
                write_json(folder / "probe.json", {"dataset": tasks[0].dataset, **asdict(found)})
        own = {"experiment": cfg["name"], "order": cfg["order"]["name"], "method": method.name, "seed": cfg["seed"]}
        for snapshot in made(cfg["scenario"])(method, tasks):
            began = time.monotonic()
            columns = {**own, "step": snapshot.step, "trained_on": snapshot.trained_on}
            rows = evaluate(snapshot, tests)
            tables["scores"] += [{**columns, **row} for row in rows]
            if merge is not None:
                rows, changes = merge(snapshot, tests)
                tables["merging"] += [{**columns, **row} for row in changes]
                tables["scores"] += [{**columns, **row} for row in rows]
            tables["decoders"] += [{**columns, **row} for row in method.decoder_rows()]
            tables["footprint"].append({**columns, **footprint_row(method, snapshot.seconds)})
            tables["weights"] += [{**columns, "network": name, "weights_sha256": sha256, "updated": name in method.updated}
                                  for name, sha256 in snapshot.hashes.items()]  # fmt: skip
            if steps_written(folder) <= snapshot.step + 1:  # a repeated call does not shorten what a finished one wrote
                write_tables(folder, tables, cfg["scored_cases"])
            mean = mean_dsc(rows)
            progress.say(f"step {snapshot.step} {snapshot.trained_on}: mean DSC of all seen {mean:.3f} "
                         f"(trained {snapshot.seconds:.0f} s, evaluated {time.monotonic() - began:.0f} s)")  # fmt: skip
        if rank() == 0:
            method.save(folder / "model")
            if cfg["scored_cases"] == "test":
                gallery.write(folder, rows, snapshot, tests, (merge or evaluate).label_maps, **cfg["gallery"])
            mirror(cfg, folder, tables["scores"])
    return folder


def ready(cfg: Mapping, store: UnitStore, progress: RunProgress):
    """The method, its tasks in order, the test sets, and the identity of every dataset's preparation."""
    specs, own_specs, preparation = datasets(cfg), encoder_datasets(cfg), Preparation(cfg, store)
    share = cfg["validation_share"] if cfg["scored_cases"] == "validation" else None
    tasks, tests = tasks_and_tests(specs, preparation, progress, cfg["labelled_cases"], share)
    sources = encoder_tasks(own_specs, tasks, preparation, cfg["labelled_cases"])
    method = method_of(cfg, [*specs.values(), *own_specs.values()], store, progress, sources)
    return method, tasks, tests, {task.dataset: task.identity for task in [*sources, *tasks]}


def probed(cfg: Mapping, method, task: Task, progress: RunProgress) -> Probed:
    """The probe of the method's encoder on a dataset's training cases, which is also said. Raises UsageError if it has none to probe."""
    if not hasattr(method, "probe"):
        raise UsageError("this method has no general encoder to probe", where=f"method={method.name}", fix="probe=none, or method=clnet")
    found = method.probe(task, made(cfg["probe"]))
    progress.say(f"encoder on {task.dataset}: height {found.height_mm:.0f} mm off ({found.height_by_mean_mm:.0f} by the mean), "
                 f"{100 * found.tissue:.0f} % of labels named ({100 * found.tissue_by_chance:.0f} by chance)")  # fmt: skip
    return found


def probe(cfg: Mapping) -> None:
    """The encoder alone: build it, probe it, and say what came out; all of it is reused by the run of the same command.

    Raises UsageError without a probe.
    """
    if not cfg["probe"]:
        raise UsageError("no probe is chosen", where="probe=none", fix="task=probe probe=default")
    store, progress = UnitStore(Path(cfg["paths"]["units"])), RunProgress()
    method, tasks, _, _ = ready(cfg, store, progress)
    probed(cfg, method, tasks[0], progress)


def write_tables(folder: Path, tables: Mapping[str, list[dict]], cases: str) -> None:
    """All tables, as far as the run has come; the leading process writes. cases: which ones were scored."""
    if rank() > 0:
        return
    results.write_scores(folder, tables["scores"], cases)
    results.write_decoders(folder, tables["decoders"])
    results.write_footprint(folder, tables["footprint"])
    results.write_weights(folder, tables["weights"])
    if tables["merging"]:
        results.write_merging(folder, tables["merging"])


def steps_written(folder: Path) -> int:
    """How many steps the tables in a run folder cover."""
    table = folder / "footprint.csv"
    return len(results.read(table)) if table.exists() else 0


def footprint_row(method, seconds: float) -> dict:
    """What a snapshot costs; peak_memory_mib is the process's own so far."""
    footprint = method.footprint()
    return {
        "parameters": footprint.parameters, "nonzero_parameters": footprint.nonzero_parameters,
        "nominal_share_sum": footprint.nominal_share_sum, "nominal_parameters_m": footprint.nominal_parameters_m,
        "dense_bytes": footprint.dense_bytes, "sparse_bytes": footprint.sparse_bytes,
        "seconds": round(seconds, 3), "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "decoder_multiply_adds_m": footprint.decoder_multiply_adds_m, "decoder_seconds": footprint.decoder_seconds,
    }  # fmt: skip


def mean_dsc(rows: list[dict]) -> float:
    """Mean over (dataset, structure) of the mean over cases, for the progress line; NaN where nothing is scored."""
    values: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row["dsc"] is not None:
            values.setdefault((row["dataset"], row["structure"]), []).append(row["dsc"])
    means = [sum(column) / len(column) for column in values.values()]
    return sum(means) / len(means) if means else float("nan")


def verify(cfg: Mapping) -> None:
    """Read every file of every dataset and list all problems. Raises DataError if there are any."""
    from clnet.data import verify as checking

    specs = datasets(cfg, steps_only=False)
    problems = checking.verify(list(specs.values()))
    if problems:
        raise DataError(f"{len(problems)} problem(s)", where=cfg["data"]["root"], found="\n" + checking.format_problems(problems))
    print(f"no problem found in {len(specs)} dataset(s) under {cfg['data']['root']}")


def prepare(cfg: Mapping) -> None:
    """Prepare the order's datasets without training."""
    store, progress = UnitStore(Path(cfg["paths"]["units"])), RunProgress()
    tasks_and_tests(datasets(cfg), Preparation(cfg, store), progress)


def fetch(cfg: Mapping) -> None:
    """Download public data, where its YAML says how."""
    if not cfg["data"].get("fetch"):
        raise DataError(
            "this data cannot be downloaded by the program", where=f"data={cfg['data']['name']}",
            found="; ".join(f"{spec.get('name')}: {spec.get('how_to_get')}" for spec in cfg["data"]["datasets"].values()),
            fix="get each dataset as described, then set data.root=FOLDER",
        )  # fmt: skip
    made(cfg["data"]["fetch"])()


def predict(cfg: Mapping) -> None:
    """Label maps of new scans by a finished run, and pictures of them."""
    from analysis.overlay import draw
    from experiments.predict import predict_folder

    predict_folder(cfg, draw)


def export(cfg: Mapping) -> None:
    """The model of a finished run as a folder of its own."""
    from experiments.export import export as write

    write(cfg)

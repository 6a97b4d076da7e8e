"""`task=export`: a finished run's model as one folder that needs neither the run nor its data: weights, ranges, registry, model card."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from clnet.anatomy import registry
from clnet.atomic import replace_folder, write_json, write_text
from clnet.errors import UsageError
from clnet.learn.progress import RunProgress
from clnet.units import UnitStore, versions
from experiments import results, runfolder
from experiments.pipeline import LOCAL, datasets, method_of

PLACES = {"outputs": "outputs", "units": "outputs/units", "data": "outputs/data", "runs": "outputs/runs", "run": None}


def export(cfg: Mapping) -> Path:
    """Write the folder `output` from the run `run`; `task=predict run=FOLDER` takes it as it takes a run folder.

    config.yaml (how scans are read and predictions merged; no path of the machine that trained), model/ (safetensors and JSON),
    registry.json (decoders, structures, supporters), README.md (model card). Nothing in it is executable.
    Raises UsageError where the run is none, is not finished, or the folder is there already.
    """
    run = Path(cfg["paths"]["run"])
    if not cfg.get("output"):
        raise UsageError("not set: output", fix="task=export run=RUN_FOLDER output=NEW_FOLDER")
    output = Path(cfg["output"]).expanduser().absolute()
    if output.exists():
        raise UsageError("output exists already", where=output, fix="name a folder that is not there yet")
    trained = runfolder.load(run)
    if trained.get("scored_cases") == "validation":
        raise UsageError("the model card states scores of test cases", where=run, fix="the same run without scored_cases=validation first")
    if not (run / "model" / "method.json").is_file():
        raise UsageError("the run has no model yet", where=run, fix="finish the run first: the same command continues it")
    specs = datasets({**trained, "data": {**trained["data"], "make": None}})
    method = method_of({**trained, "launcher": LOCAL}, specs.values(), UnitStore(output.parent), RunProgress())
    method.load(run / "model")
    building = output.with_name(f".{output.name}.{os.getpid()}.partial")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    method.save(building / "model")
    write_text(building / "config.yaml", yaml.safe_dump(_portable(trained), sort_keys=False, allow_unicode=True))
    known = registry.load().with_decoders(decoder for spec in specs.values() for decoder in spec.decoders)
    write_json(building / "registry.json", {name: {"structures": list(decoder.structures), "group": decoder.group,
                                                   "supporters": list(decoder.supporters), "nested": decoder.nested}
                                            for name, decoder in known.decoders.items()})  # fmt: skip
    write_text(building / "README.md", _card(run, trained, method))
    replace_folder(building, output)
    print(f"exported model: {output}", flush=True)
    return output


def _portable(cfg: Mapping) -> dict:
    """The configuration without places of the machine that trained."""
    slots = {slot: {**spec, "root": f"data/{slot}"} for slot, spec in cfg["data"]["datasets"].items()}
    data = {**cfg["data"], "root": "data", "datasets": slots}
    method = {name: None if name.endswith("_file") else value for name, value in cfg["method"].items()}
    return {**cfg, "method": method, "paths": PLACES, "launcher": LOCAL, "run": None, "input": None, "output": None, "data": data}


def _card(run: Path, cfg: Mapping, method) -> str:
    """What a stranger has to know before using the model, in Markdown."""
    footprint = results.read(run / "footprint.csv")[-1]
    scores = [row for row in results.read(run / "scores.csv") if row["step"] == footprint["step"]]
    stage = "merged" if any(row["stage"] == "merged" for row in scores) else "premerge"
    lines = []
    for part in method.parts():
        own = {label.name for label in part.labels}
        values = [row["dsc"] for row in scores if row["stage"] == stage and row["structure"] in own and row["dsc"] is not None
                  and (part.datasets is None or row["dataset"] in part.datasets)]  # fmt: skip
        mean = f"{sum(values) / len(values):.3f}" if values else ""
        lines.append(f"| {part.name} | {', '.join(label.name for label in part.labels)} | {mean} |")
    sources = [f"- {spec['name']}: {spec['licence']}" for spec in (cfg["data"]["datasets"][slot] for slot in cfg["order"]["steps"])]
    return "\n".join([
        f"# {method.name}: {cfg['name']}", "",
        "Segmentation of CT by clnet-bench. Research software, **not a medical device**; not validated for clinical use.", "",
        f"- experiment {cfg['name']}, order {cfg['order']['name']}, seed {cfg['seed']}, network of the scale with features "
        f"{cfg['scale']['network']['features']} at {cfg['scale']['recipe']['spacing_mm']} mm (z, y, x)",
        f"- {footprint['parameters']:,} parameters, {footprint['nonzero_parameters']:,} of them not zero; "
        f"{footprint['sparse_bytes'] / 1e6:.1f} MB of weights",
        f"- made with {', '.join(f'{name} {version}' for name, version in versions().items())}", "",
        "## Use", "", "    python run.py task=predict run=THIS_FOLDER input=FILE_OR_FOLDER output=FOLDER", "",
        "## Training data and their licences", "", *sources, "",
        f"## Parts of the model (CL-Net's decoders), and their mean DSC on the test scans of the run (stage {stage})", "",
        "| Part | Structures | DSC |", "|---|---|---|", *lines, "",
    ])  # fmt: skip

"""What a user typed, checked against the configuration before anything slow is imported: names and types.

Every refusal is a UsageError that names the nearest valid spellings and the valid choices. Hydra itself would accept a text for a
number, and answers a typo without saying what was meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

from clnet.errors import UsageError
from experiments.completeness import check_complete

TASKS = {
    "run": "learn the order step by step, score every step, write tables and the report (the default)",
    "verify": "read all files of the datasets and report every problem at once",
    "fetch": "download a dataset that may be downloaded, check it and convert it",
    "prepare": "read, check and resample the datasets, without learning",
    "probe": "build the encoder alone and say what a linear map reads out of it: task=probe probe=default encoder=...",
    "predict": "label maps for new scans, NIfTI or DICOM: task=predict run=RUN_FOLDER input=FILE_OR_FOLDER output=FOLDER",
    "export": "a finished run's model as a folder of its own: task=export run=RUN_FOLDER output=FOLDER",
    "report": "tables, curves and report.html of a run again; task=report runs=A,B output=FOLDER: the paper's tables and figures from runs",
    "compare": "runs side by side, in their configuration and their scores: task=compare runs=A,B output=FOLDER",
    "plan": "state, folder and command of the run, or of each run of a sweep, without doing any",
    "tuning": "runs with scored_cases=validation side by side: task=tuning [runs=A,B] [output=FOLDER]",
    "status": "state, step, progress and mean DSC of all runs (runs=...: of these); with other words, or run=RUN_FOLDER: of one run",
    "claims": "each number of README.md against the runs that are there: reproduced, differs, or not run, and the command",
}
_TYPES = ((bool, bool, "true or false"), (int, int, "a whole number"), (float, (int, float), "a number"), (list, list, "a list"),
          (dict, dict, "keys and values"))
_JOBS_CHECKED = 32  # of a sweep; Hydra composes the others itself before it starts any


def choices(conf: Path, group: str) -> list[str]:
    """Names of the YAML files of a config group."""
    return sorted(file.stem for file in (conf / group).glob("*.yaml"))


def groups(conf: Path) -> list[str]:
    """Names of all config groups."""
    return sorted(folder.name for folder in conf.iterdir() if folder.is_dir() and not folder.name.startswith(("_", ".")))


def check(overrides: Sequence[str], conf: Path, multirun: bool = False) -> None:
    """Raise UsageError unless these overrides make a complete configuration; a sweep's jobs are looked at one by one."""
    from hydra import compose, initialize_config_dir
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UsageError("cannot read the command line", found=str(error).splitlines()[0], expected="KEY=VALUE",
                         fix="put quotes round values that hold spaces, commas or brackets: 'key=\"a, b\"'") from None
    parsed = [override for override in parsed if not override.key_or_group.startswith("hydra")]
    chosen = [override for override in parsed if override.key_or_group in groups(conf) and not override.is_delete()]
    for override in chosen:
        for value in _values(override, text=True):
            _check_choice(conf, override.key_or_group, value)
        if override.key_or_group == "dataset" and not override.is_add():
            raise UsageError("dataset= cannot be chosen on its own", fix="data=NAME brings datasets; order.steps=[...] picks among them")
    for override in parsed:
        if override.key_or_group == "task":
            for value in _values(override, text=True):
                if value not in TASKS:
                    raise UsageError(f"unknown task: {value}", expected=", ".join(TASKS), fix=_nearest(value, TASKS))
    with initialize_config_dir(str(conf.absolute()), version_base="1.3"):
        try:
            for job in _jobs(parsed, multirun):
                base = compose("config", [text for override, text in job if override in chosen])
                for override, _ in job:
                    if override not in chosen and not override.is_add() and not override.is_delete() and not override.is_force_add():
                        _check_key(base, override, groups(conf))
                check_complete(compose("config", [text for _, text in job]), conf)
        except (HydraException, OmegaConfBaseException) as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise UsageError("the configuration cannot be put together", found="\n    ".join(lines[:4])) from None


def _jobs(parsed: Sequence, multirun: bool) -> Iterator[list[tuple]]:
    """Each job of a sweep as (override, "key=value") pairs."""
    spread = []
    for override in parsed:
        if multirun and override.is_discrete_sweep():
            spread.append([(override, f"{override.get_key_element()}={value}") for value in override.sweep_string_iterator()])
        else:
            spread.append([(override, override.input_line)])
    for number, job in enumerate(product(*spread)):
        if number < _JOBS_CHECKED:
            yield list(job)


def _values(override, text: bool = False) -> list:
    """All values that an override stands for."""
    from hydra.core.override_parser.types import ValueType

    if override.is_discrete_sweep() and override.value_type is not ValueType.GLOB_CHOICE_SWEEP:
        return list(override.sweep_string_iterator() if text else override.sweep_iterator())
    if override.is_sweep_override():
        return []
    value = override.value()
    if not text:
        return [value]
    return ["null" if item is None else str(item) for item in (value if isinstance(value, list) else [value])]


def _check_choice(conf: Path, group: str, value: str) -> None:
    valid = choices(conf, group)
    if value.removesuffix(".yaml") not in valid:
        fix = "~experiment leaves it out" if (group, value) == ("experiment", "null") else _nearest(value, valid)
        raise UsageError(f"no such {group}: {value}", where=conf / group, expected=", ".join(valid), fix=fix)


def _check_key(base: Mapping, override, group_names: Sequence[str]) -> None:
    """The key exists, and its values have the type of the one that is there."""
    from omegaconf import OmegaConf

    key = override.key_or_group
    names = dict(_leaves(OmegaConf.to_container(base)))
    if key not in names and not any(name.startswith(f"{key}.") for name in names):
        raise _unknown_key(key, list(names), group_names)
    try:
        there = OmegaConf.select(base, key)
    except Exception:  # an interpolation that only the whole command line can resolve
        return
    there = OmegaConf.to_container(there) if OmegaConf.is_config(there) else there
    for value in _values(override):
        problem = _type_problem(there, value)
        if problem:
            raise UsageError(f"wrong type for {key}", found=override.input_line, expected=problem, fix=f"for example {key}={_text(there)}")


def _unknown_key(key: str, names: Sequence[str], group_names: Sequence[str]) -> UsageError:
    """What could stand in its place: keys of similar name anywhere, and all that are valid at the level where the key goes wrong."""
    above = key.rpartition(".")[0]
    while above and not any(name.startswith(f"{above}.") for name in names):
        above = above.rpartition(".")[0]
    prefix = f"{above}." if above else ""
    valid = {prefix + name.removeprefix(prefix).split(".")[0] for name in names if name.startswith(prefix)}
    valid |= set() if prefix else set(group_names)
    last_parts = difflib.get_close_matches(key.rpartition(".")[2], {name.rpartition(".")[2] for name in names}, 3, 0.7)
    near = difflib.get_close_matches(key, [*names, *valid], 3, 0.7) + [name for last in last_parts for name in names
                                                                      if name.rpartition(".")[2] == last]
    return UsageError(f"unknown key: {key}", expected=", ".join(sorted(valid)),
                      fix=_did_you_mean(list(dict.fromkeys(near))[:4]) or f"+{key}=... adds a new key")


def _type_problem(there: object, value: object) -> str | None:
    """What was expected, if `value` cannot stand where `there` stands."""
    if there is None or value is None or (isinstance(value, str) and "${" in value):
        return None
    for kind, accepted, name in _TYPES:
        if isinstance(there, kind):
            good = isinstance(value, accepted) and isinstance(value, bool) == isinstance(there, bool)
            return None if good else name
    return "a single value" if isinstance(value, (list, dict)) else None


def _leaves(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _leaves(item, f"{key}.{name}" if key else str(name))
    else:
        yield key, value


def _text(there: object) -> str:
    return str(there).lower() if isinstance(there, bool) else str(there).replace("'", "").replace(" ", "")


def _nearest(value: str, valid: Sequence[str] | Mapping) -> str | None:
    return _did_you_mean(difflib.get_close_matches(value, list(valid), 3, 0.5))


def _did_you_mean(names: Sequence[str]) -> str | None:
    return f"did you mean {' or '.join(names)}?" if names else None

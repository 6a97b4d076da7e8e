"""From the plain configuration to the objects of a run: datasets, prepared cases, tasks, the method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from clnet.anatomy import registry
from clnet.data import phantom
from clnet.data.content import ContentHashes
from clnet.data.dataset import DatasetSpec
from clnet.data.prepare import prepare_dataset
from clnet.data.store import PreparedCase
from clnet.errors import ClnetError, DataError, UsageError
from clnet.learn.fit import TrainerSettings
from clnet.learn.progress import RunProgress
from clnet.learn.validate import covering, held_out
from clnet.types import Task
from clnet.units import UnitStore
from experiments.evaluate import Evaluation, TestSet
from experiments.merged import MergedEvaluation

LOCAL = {"_target_": "clnet.launch.LocalLauncher"}


def made(node):
    """Instantiate a configuration node; what comes out holds plain Python values only.

    Raises the ClnetError of what is made, as it is.
    """
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, ClnetError):
            raise error.__cause__ from None
        raise


def datasets(cfg: Mapping, steps_only: bool = True) -> dict[str, DatasetSpec]:
    """The order's datasets by slot, in its order (or every dataset of `data`); writes the phantom first where it is not there yet.

    Raises UsageError when the order names a slot that `data` does not fill.
    """
    return _datasets(cfg, cfg["order"]["steps"] if steps_only else list(cfg["data"]["datasets"]), "order")


def encoder_datasets(cfg: Mapping) -> dict[str, DatasetSpec]:
    """Those that the encoder learns from, by slot, in its order; none where it learns from the order's first one.

    Raises UsageError when the encoder names a slot that `data` does not fill.
    """
    return _datasets(cfg, cfg["encoder"]["datasets"] or [], "encoder")


def _datasets(cfg: Mapping, wanted: Sequence[str], who: str) -> dict[str, DatasetSpec]:
    slots = cfg["data"]["datasets"]
    unknown = [slot for slot in wanted if slot not in slots]
    if unknown:
        raise UsageError(
            f"the {who} needs datasets that data does not have", found=", ".join(unknown), expected=", ".join(slots),
            where=(f"order={cfg['order']['name']}" if who == "order" else "encoder.datasets") + f" data={cfg['data']['name']}",
            fix=f"choose an {who} for this data, or set both by experiment=",
        )  # fmt: skip
    if cfg["data"].get("make"):
        phantom.write(Path(cfg["data"]["root"]), made(cfg["data"]["make"]))
    return {slot: made(slots[slot]) for slot in wanted}


class Preparation:
    """Prepares datasets as units of work."""

    def __init__(self, cfg: Mapping, store: UnitStore):
        self.recipe, self.recipe_settings = made(cfg["scale"]["recipe"]), cfg["scale"]["recipe"]
        self.store, self.hashes = store, ContentHashes(store.root / "content.json")
        self.workers = int(cfg["trainer"].get("prepare_workers") or 2)

    def __call__(self, spec: DatasetSpec, split: str) -> tuple[tuple[PreparedCase, ...], str]:
        """The prepared cases of a split and the identity of their preparation."""
        raw = spec.cases(split)
        identity = {"spec": spec.identity(), "split": split, "recipe": self.recipe_settings, "content": self.hashes.of_cases(raw)}
        folder = self.store.build("prepared", identity, lambda place: prepare_dataset(spec, split, self.recipe, place, self.workers))
        return tuple(PreparedCase.open(folder / case.case) for case in raw), folder.name


def tasks_and_tests(
    specs: Mapping[str, DatasetSpec], prepare: Preparation, progress: RunProgress, labelled: float | None = None,
    validation_share: float | None = None,
) -> tuple[list[Task], dict[str, TestSet]]:  # fmt: skip
    """Training tasks in order, and what each dataset is scored on. labelled: see `training_task`.

    validation_share: score the training cases that nothing learns from (`held_out`), and leave the test cases alone; None: test cases.
    """
    tasks, tests = [], {}
    for step, spec in enumerate(specs.values()):
        task = training_task(step, spec, prepare, labelled)
        tasks.append(task)
        tests[spec.name] = validation_set(spec, task, validation_share) if validation_share else TestSet(spec, *prepare(spec, "test"))
        known = sum(bool(case.annotated) for case in task.cases)
        few = f" ({known} with labels)" if known < len(task.cases) else ""
        held = len(tests[spec.name].cases)
        scored = f"training{few}, of them {held} validation cases" if validation_share else f"training{few} and {held} test cases"
        progress.say(f"{spec.name}: {len(task.cases)} {scored}, {len(spec.labels)} labels")
    return tasks, tests


def validation_set(spec: DatasetSpec, task: Task, share: float) -> TestSet:
    """The training cases of a task that nothing learns from, to be scored like test cases. Raises DataError where there is none."""
    _, cases = held_out(task.cases, share)
    if not cases:
        raise DataError("no training case can be spared to validate on", where=spec.name, found=f"{len(task.cases)} training case(s)",
                        expected="at least one more for every label that it shows", fix="scored_cases=test, or an order without it")
    return TestSet(spec, tuple(cases), f"{task.identity}, validation {share}")


def training_task(step: int, spec: DatasetSpec, prepare: Preparation, labelled: float | None) -> Task:
    """A dataset's training cases as a task; labelled: only so many of them keep their labels, as a share below 1 or a number, None: all.

    Those that keep them show as many labels as possible (`covering`); the others are scans alone. Raises UsageError for none.
    """
    if labelled is not None and not labelled > 0:
        raise UsageError("no case would keep its labels", where="labelled_cases", found=labelled,
                         expected="a share between 0 and 1, a number of cases, or null")  # fmt: skip
    cases, identity = prepare(spec, "train")
    if labelled is None:
        return Task(step, spec.name, spec.labels, cases, identity)
    wanted = max(round(labelled * len(cases)), 1) if labelled < 1 else min(int(labelled), len(cases))
    keep = {case.case for case in covering(cases, wanted, lambda *_: True)}
    cases = tuple(case if case.case in keep else PreparedCase(case.folder, {**case.record, "annotated": []}) for case in cases)
    return Task(step, spec.name, spec.labels, cases, f"{identity}, {wanted} with labels", identity)


def encoder_tasks(
    specs: Mapping[str, DatasetSpec], tasks: Sequence[Task], prepare: Preparation, labelled: float | None = None
) -> list[Task]:
    """Training tasks of the encoder's own datasets, in its order; those of the order are not prepared twice."""
    known = {task.dataset: task for task in tasks}
    return [known.get(spec.name) or training_task(len(tasks), spec, prepare, labelled) for spec in specs.values()]


def trainer_settings(cfg: Mapping) -> TrainerSettings:
    """The trainer's plain values."""
    names = TrainerSettings.__dataclass_fields__
    return TrainerSettings(**{name: value for name, value in cfg["trainer"].items() if name in names})


def method_of(cfg: Mapping, specs: Iterable[DatasetSpec], store: UnitStore, progress: RunProgress, sources: Sequence[Task] = ()):
    """The configured method over the registry, with the decoders that the datasets declare; sources: what its encoder learns from."""
    if cfg["launcher"] != LOCAL and (cfg["trainer"].get("devices") or 1) > 1:
        raise UsageError("several devices train one decoder at a time", where="trainer.devices", fix="launcher=local, or trainer=gpu")
    known = registry.load().with_decoders(decoder for spec in specs for decoder in spec.decoders)
    return made(cfg["method"])(
        registry=known, settings=method_settings(cfg), store=store, trainer=trainer_settings(cfg), progress=progress,
        launcher=made(cfg["launcher"]), seed=int(cfg["seed"]), **({"sources": sources} if sources else {}),
    )  # fmt: skip


def method_settings(cfg: Mapping) -> dict:
    """The part of the configuration that identifies what a method learns and predicts."""
    decoder, scale = cfg["decoder"], cfg["scale"]
    return {
        "network": scale["network"], "intensity": scale["intensity"], "windows": scale["windows"], "decoder_width": decoder["width"],
        **{f"decoder_{kind}": decoder[kind] for kind in ("new", "refine", "update", "start")},
        **{name: cfg[name] for name in ("encoder", "augment", "pruning", "supporting", "validation_share", "validation_overlap", "bpr")},
        "encoder_tuning": cfg["tuning"], "trainer": [cfg["trainer"]["precision"], cfg["trainer"].get("devices") or 1],
        "method": cfg["method"],
    }  # fmt: skip


def evaluation_of(cfg: Mapping, store: UnitStore, progress: RunProgress) -> Evaluation:
    """The configured evaluation."""
    settings = {name: value for name, value in cfg["evaluate"].items() if name != "workers"}
    return Evaluation(**made(cfg["evaluate"]), settings=settings, store=store, progress=progress)


def merged_evaluation_of(cfg: Mapping, evaluation: Evaluation) -> MergedEvaluation | None:
    """The configured merging's evaluation; None without merging. Raises UsageError for decoders that do not exist."""
    if not cfg["merging"]:
        return None
    rules = made(cfg["merging"])
    rules.check(registry.load().decoders)
    return MergedEvaluation(rules, cfg["merging"], evaluation)

"""Which of the paper's methods and datasets our runs stand for."""

from __future__ import annotations

from analysis import pruning
from analysis.groups import Group
from analysis.load import Run

FIVE_PUBLIC = ("TotalSegmentatorV2", "StructSeg19", "FLARE22", "SegTHOR", "KiTS21")
METHODS = ("clnet", "nnunet", "finetune", "joint", "lwf", "ilt", "mib", "plop", "csclip", "multitalent")  # what `method=` can be today
_RIVALS = {"mib": "MiB", "plop": "PLOP", "csclip": "CSCLIP", "multitalent": "MultiTalent"}
_OURS = {theirs: ours for ours, theirs in _RIVALS.items()}
_ENSEMBLE = "nnunet"
UNPRUNED, UNSUPPORTED = "_unpruned", "_noFLS"


def paper_datasets(run: Run) -> dict[str, str]:
    """Our dataset -> the paper's that it is, or, on the phantom, whose place it takes; datasets that the paper has not are left out."""
    datasets = (run.config.get("data") or {}).get("datasets") or {}
    return {spec["name"]: spec["paper_slug"] for spec in datasets.values() if spec.get("paper_slug")}


def is_stand_in(run: Run) -> bool:
    """Whether the run's data are synthetic, and so only take the place of the paper's."""
    return (run.config.get("data") or {}).get("name") == "phantom"


def paper_method(group: Group) -> str | None:
    """The name in `reference/results` of the method that a group of runs repeats; None for ablations, for methods of our own, and
    where the five public datasets were not all learned.

    CL-Net counts as such with EMA, FL-supporting by features, single weights pruned if any, and a frozen encoder trained on the first
    dataset's labels alone; C5, C36:
    continual, U5, U36: universal, over the five public or more datasets; without pruning it is `..._unpruned` (A2, Tables 1 and S6),
    without FL-supporting over more than five `..._noFLS` (Table S11).
    """
    run = group.first
    if not learned_names(run) >= set(FIVE_PUBLIC):
        return None
    many = "5" if learned_names(run) == set(FIVE_PUBLIC) else "36"
    method = run.identity["method"]
    if method == _ENSEMBLE:
        return f"nnUNet_E{many}"
    if method != "clnet":
        return _RIVALS.get(method)
    supported = bool(run.config.get("supporting"))
    if not _is_whole(run.config) or not (supported or many == "36"):
        return None
    name = f"CLNet_{'U' if group.scenario == 'universal' else 'C'}{many}" + ("" if supported else UNSUPPORTED)
    return name if pruning.is_pruned(run) else f"{name}{UNPRUNED}"


def method_name(method: str) -> str:
    """`CLNet_U36_unpruned` -> `CL-Net U36, unpruned`, for readers."""
    words = {UNPRUNED: ", unpruned", UNSUPPORTED: ", no FL-supporting", "_finetune": ", fine-tuned", "CLNet": "CL-Net", "nnUNet": "nnU-Net"}
    for word, shown in words.items():
        method = method.replace(word, shown)
    return method.replace("_", " ")


def why_absent(method: str) -> str | None:
    """Why no run can repeat a method of the paper's; None for those that `method=` has."""
    ours = "clnet" if method.startswith("CLNet") else _ENSEMBLE if method.startswith("nnUNet") else _OURS.get(method)
    if ours is None:
        return f"{method_name(method)}: a released model of another work, which is not trained here; the paper's numbers alone."
    return None if ours in METHODS else f"{method_name(method)}: this method is not part of the benchmark yet."


def learned_names(run: Run) -> set[str]:
    """The paper's names of the datasets that the run learned."""
    known = paper_datasets(run)
    return {known[name] for name in run.learned_at if name in known}


def _is_whole(config: dict) -> bool:
    supporting, encoder = config.get("supporting") or {}, config.get("encoder") or {}
    return (config.get("ema") is not None and not supporting.get("as_masks") and supporting.get("graph") is None
            and config.get("tuning") is None and list(encoder.get("stages") or {}) == ["supervised"] and not encoder.get("datasets")
            and config.get("labelled_cases") is None and "choose" not in (config.get("pruning") or {}))

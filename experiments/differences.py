"""In what runs differ: the settings that numbers depend on and that are not the same in all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from clnet.units import canonical
from experiments import runfolder

ABSENT = "absent"


def differences(configurations: Sequence[Mapping]) -> dict[str, list[str]]:
    """`key.subkey` -> its value in each configuration as text, in their order, for every semantic key that is not alike in all.

    A whole branch that some have alike and the others lack is one entry.
    """
    found: dict[str, list[str]] = {}
    _compare([_tree(runfolder.semantic(cfg)) for cfg in configurations], "", found)
    return found


def _tree(flat: Mapping[str, object]) -> dict:
    root: dict = {}
    for key, value in flat.items():
        *branches, leaf = key.split(".")
        node = root
        for branch in branches:
            node = node.setdefault(branch, {})
        node[leaf] = value
    return root


def _compare(values: Sequence[object], key: str, found: dict[str, list[str]]) -> None:
    there = [value for value in values if value is not ABSENT]
    alike = len({canonical(value) for value in there}) == 1
    if alike and len(there) == len(values):
        return
    if not alike and all(isinstance(value, Mapping) for value in there):
        for name in dict.fromkeys(name for value in there for name in value):
            _compare([ABSENT if value is ABSENT else value.get(name, ABSENT) for value in values], f"{key}.{name}" if key else name, found)
        return
    found[key] = [_text(value) for value in values]


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        leaves = _count(value)
        return f"{leaves} setting{'s' if leaves > 1 else ''}" if leaves else "{}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _count(value: object) -> int:
    return sum(map(_count, value.values())) if isinstance(value, Mapping) else 1

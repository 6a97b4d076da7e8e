"""The graph of feature-level support: who must be trained before whom."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from clnet.errors import UsageError


def level_by_decoder(supporters: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """decoder -> 0 without supporters, else one more than its highest supporter; same keys, supporters first.

    Raises UsageError for an unknown supporter or a cycle. Source: CL-Net 4.1, Table S5.
    """
    for name, names in supporters.items():
        unknown = [other for other in names if other not in supporters]
        if unknown:
            raise UsageError("supporter is no decoder", where=name, found=unknown)
    try:
        order = list(TopologicalSorter(supporters).static_order())
    except CycleError as error:
        raise UsageError("supporting decoders form a cycle", found=" <- ".join(error.args[1])) from None
    levels: dict[str, int] = {}
    for name in order:
        levels[name] = 1 + max((levels[other] for other in supporters[name]), default=-1)
    return levels

"""How many decoders may go over a scan together: their sums of probabilities must fit into a share of memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from clnet.infer.accumulate import sums_bytes
from clnet.infer.window import Windows

Name = TypeVar("Name")


def passes(
    channels: Mapping[Name, int], shape_zyx: Sequence[int], windows: Windows, reach: Mapping[Name, np.ndarray], limit_bytes: float
) -> list[list[Name]]:
    """Decoders in groups whose sums never take more than `limit_bytes` together; each group costs a pass of the encoder over its windows.

    channels: of each decoder; shape_zyx: of the prepared scan; reach: decoder -> (z,) bool, the slices where it is wanted (one that is
    missing is wanted everywhere). A decoder goes into the first group that has room for it in every row of windows that it is shown;
    one that has no room anywhere gets a group of its own. So decoders of the head and of the pelvis share a pass, in their given order.
    """
    plane = [max(length, size) for length, size in zip(shape_zyx[1:], windows.patch_zyx[1:], strict=True)]
    rows = windows.rows(shape_zyx[0])
    groups: list[tuple[list[Name], np.ndarray]] = []
    for name, count in channels.items():
        shown = [name not in reach or bool(reach[name][row].any()) for row in rows]
        live = [any(s and own.stop > row.start for s, own in zip(shown[: i + 1], rows, strict=False)) for i, row in enumerate(rows)]
        load = np.array(live) * float(sums_bytes(count, windows.patch_zyx[0], plane))
        for names, loads in groups:
            if (loads + load).max() <= limit_bytes:
                names.append(name)
                loads += load
                break
        else:
            groups.append(([name], load))
    return [names for names, _ in groups]

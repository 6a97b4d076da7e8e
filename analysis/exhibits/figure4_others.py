"""The same curves as Figure 4 for orders that are not the paper's, such as those of OpenKBP: one figure for each collection of data."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.exhibit import Picture
from analysis.exhibits.figure4_data import ORDERS, Ours
from analysis.exhibits.figure4_drawing import forgetting_by_order
from analysis.groups import Group


def pictures(groups: Sequence[Group]) -> tuple[Picture, ...]:
    """A figure for each data whose runs learned at least two orders of equally many datasets, or one order by two methods."""
    found = []
    for data, own in by_data(groups).items():
        orders = {each.order: tuple(each.group.first.trained_on.values()) for each in own}
        if len(own) > 1:
            stages = ", ".join(sorted({each.group.first.stage for each in own}))
            found.append(Picture(forgetting_by_order(own, orders), f"figure4_{data}",
                                 f"As Figure 4, on {data}, which the paper has not: DSC on the dataset that each step learned, from that "
                                 f"step on. Bands and bars: standard deviation over seeds. Stage: {stages}. Runs: "
                                 f"{', '.join(each.group.name for each in own)}."))
    return tuple(found)


def by_data(groups: Sequence[Group]) -> dict[str, list[Ours]]:
    """Data -> its finished continual runs of other orders than the paper's, in those orders that have as many steps as most.

    An order's name with other datasets than in the first of its runs is left out.
    """
    found: dict[str, list[Ours]] = {}
    for group in groups:
        config, order, steps = group.first.config, group.first.identity["order"], len(group.first.trained_on)
        planned = len((config.get("order") or {}).get("steps") or ())
        if order in ORDERS or group.scenario != "continual" or steps < 2 or steps != planned:
            continue
        found.setdefault((config.get("data") or {}).get("name") or "data", []).append(Ours(order, label_of(group), None, group, steps))
    for data, own in found.items():
        lengths = [each.steps for each in own]
        usual = max(set(lengths), key=lambda length: (lengths.count(length), length))
        first = {each.order: list(each.group.first.trained_on.values()) for each in reversed(own)}
        found[data] = [each for each in own if each.steps == usual and list(each.group.first.trained_on.values()) == first[each.order]]
    return found


def label_of(group: Group) -> str:
    """The method, and what its runs change besides: `mib`, `clnet, pruning-short`; the order has a row of its own."""
    words = group.name.removeprefix(group.first.identity["experiment"]).split("__")
    return ", ".join([group.first.identity["method"], *(word for word in words if word and not word.startswith(("method-", "order-")))])

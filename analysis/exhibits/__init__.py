"""Every table and figure of the paper, by its number there."""

from analysis.exhibit import Exhibit
from analysis.exhibits import (
    encoder_rows,
    figure1,
    figure3,
    figure4,
    figure5,
    figure6,
    figure7,
    lymph_nodes,
    order_tables,
    organ_figures,
    organ_tables,
    summary_tables,
    updating,
)

_MODULES = (summary_tables, figure1, figure3, figure4, figure5, figure6, figure7, organ_figures, order_tables, encoder_rows, updating,
            lymph_nodes, organ_tables)  # fmt: skip


def _place(exhibit: Exhibit) -> tuple:
    """Tables before figures, those of the paper before those of its supplement, by number."""
    kind, _, number = exhibit.number.partition(" ")
    return number.startswith("S"), kind != "Table", int(number.removeprefix("S"))


ALL: tuple[Exhibit, ...] = tuple(sorted((exhibit for module in _MODULES for exhibit in module.EXHIBITS), key=_place))

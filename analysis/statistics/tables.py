"""All tables of statistics for a set of runs, in the order in which a page shows them."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.groups import Group
from analysis.render import Table
from analysis.statistics.average_tables import average_tables, cads_table
from analysis.statistics.continual_tables import continual_tables
from analysis.statistics.overview_table import overview_table
from analysis.statistics.pairwise_table import pairwise_table


def tables(groups: Sequence[Group]) -> list[Table]:
    """Overview, paired tests, averages by region, dataset and class, CADS's view, continual metrics; what cannot be made is left out."""
    found = [overview_table(groups), pairwise_table(groups), *average_tables(groups), cads_table(groups), *continual_tables(groups)]
    return [table for table in found if table is not None]

"""The paper's count of parameters for parts of a run: decoders of a body group, decoders of a dataset."""

from __future__ import annotations

from analysis.exhibits.ours import learned_datasets
from analysis.load import Run
from analysis.pruning import last_decoders, sizes
from analysis.published import ALL_PAIRS
from analysis.retention import decoders_by_structure

FULL_DECODER_M = 15.65  # millions of parameters that the paper counts for a full decoder. Source: CL-Net Table 1, NOTES.md 5


def nominal_by_group(run: Run) -> dict[tuple[str, str], float]:
    """(body group, measure) -> nominal millions of parameters of its decoders, in the paper's words (`All`: encoder included)."""
    shares = last_decoders(run).groupby("group")["nominal_share"].sum(min_count=1)
    found = {(group, "nominal_parameters_m"): FULL_DECODER_M * share for group, share in shares.items()}
    return found | {("All", "nominal_parameters_m"): sizes(run)["nominal_parameters_m"]}


def nominal_of_all(run: Run) -> dict[tuple[str, str], float]:
    """Nominal millions of parameters of a run over the five datasets, encoder included."""
    return {(ALL_PAIRS, "nominal_parameters_m"): sizes(run)["nominal_parameters_m"]}


def shares_by_dataset(run: Run) -> dict[tuple[str, str], float]:
    """(dataset, measure) -> sum T' over the decoders of a dataset's structures after the last step, in full decoders (NOTES.md 6)."""
    share_of = last_decoders(run).set_index("decoder")["nominal_share"].to_dict()
    decoder_of = decoders_by_structure(run)
    found = {}
    for dataset, rows in learned_datasets(run).items():
        shares = [share_of.get(name) for name in {decoder_of.get(structure) for structure in rows["structure"].unique()}]
        if shares and None not in shares:
            found[dataset, "nominal_share_sum"] = sum(shares)
    return found

"""How large a method is: counted, on disk, and by the paper's nominal formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import nn

from clnet.learn.archive import Archive, LearnedDecoder
from clnet.learn.bundle import reachable
from clnet.learn.meter import Cost
from clnet.model.decoder import DecoderNetwork
from clnet.model.mask import prunable
from clnet.model.weights import count_parameters, weights_sha256
from clnet.types import Footprint

HALF_NNUNET_M = 15.65  # millions of parameters that the paper counts for the encoder and for a full decoder (Table 1; NOTES.md 5)
FLOAT_BYTES = 4


def decoder_rows(
    archive: Archive, learned: Mapping[str, LearnedDecoder], updated: Sequence[str], meter: Callable[[LearnedDecoder], Cost]
) -> list[dict]:
    """One row per decoder for decoders.csv; nominal_share is the paper's T' = 1 - T, as a share of one full decoder."""
    rows = []
    for name, state in learned.items():
        network, _ = archive.decoder(state)
        parameters, nonzero = count_parameters(network)
        ticket, cost = state.ticket, meter(state)
        rows.append({
            "decoder": name, "group": state.decoder.group, "structures": " ".join(label.name for label in state.target.labels),
            "parameters": parameters, "nonzero_parameters": nonzero, "nominal_share": nominal_share(archive, state),
            "pruning_rate_percent": 100 * ticket.rate if ticket else 0.0, "rounds": ticket.rounds if ticket else 0,
            "validation_dsc_before": ticket.dsc_before if ticket else None, "validation_dsc_after": ticket.dsc_after if ticket else None,
            "updated": name in updated, "weights_sha256": weights_sha256(network), "multiply_adds_m": cost.multiply_adds / 1e6,
            "nonzero_multiply_adds_m": cost.nonzero_multiply_adds / 1e6,
        })  # fmt: skip
    return rows


def nominal_share(archive: Archive, state: LearnedDecoder) -> float:
    """1 - T for a full decoder, projections for its supporters included; a narrower one counts by its share of a full one's weights."""
    network = archive.decoder(state)[0]
    full = DecoderNetwork(archive.shape, len(network.heads[0].bias), None, [None] * len(state.route.features))
    kept, possible = (sum(int((p != 0).sum()) for p in prunable(network).values()), sum(p.numel() for p in prunable(full).values()))
    return kept / possible


def dense_footprint(networks: Sequence[nn.Module], files: Sequence[Path], nominal_parameters_m: float) -> Footprint:
    """Of networks that nothing was pruned from, as they lie in their files."""
    parameters, nonzero = (sum(column) for column in zip(*(count_parameters(network) for network in networks), strict=True))
    return Footprint(parameters, nonzero, FLOAT_BYTES * parameters, sum(file.stat().st_size for file in files), None, nominal_parameters_m)


def footprint(archive: Archive, learned: Mapping[str, LearnedDecoder], meter: Callable[[LearnedDecoder], Cost]) -> Footprint:
    """Parameters and bytes of all that prediction loads, supporters' snapshots included; what a window costs all learned decoders.

    nominal: 15.65 M * (1 + sum of T'), over the learned decoders alone. Source: CL-Net Table 1, read as in NOTES.md 5.
    """
    encoders, decoders = reachable(archive, learned)
    networks = [*(archive.encoder(key) for key in encoders), *(archive.decoder(state)[0] for state in decoders.values())]
    parameters, nonzero = (sum(column) for column in zip(*(count_parameters(network) for network in networks), strict=True))
    files = [state.file for state in (*encoders.values(), *decoders.values())]
    shares = sum(nominal_share(archive, state) for state in learned.values())
    costs = [meter(state) for state in learned.values()]
    return Footprint(parameters, nonzero, FLOAT_BYTES * parameters, sum(file.stat().st_size for file in files), shares,
                     HALF_NNUNET_M * (1 + shares), sum(cost.multiply_adds for cost in costs) / 1e6,
                     sum(cost.seconds for cost in costs))  # fmt: skip

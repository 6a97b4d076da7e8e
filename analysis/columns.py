"""The columns of a run folder's tables and the words in them, as `experiments/results.py` writes them."""

from __future__ import annotations

STATUSES = ("ok", "missed", "false_positive", "both_empty", "not_annotated", "out_of_fov")
STAGES = ("premerge", "merged")
VALUES = ("dsc", "asd_mm", "hd95_mm", "nsd")
VOXELS = ("false_voxels_before", "false_voxels_after", "false_outside_before", "false_outside_after", "true_outside_before",
          "true_voxels_before", "true_voxels_after")

RUN_COLUMNS = ("experiment", "order", "method", "seed", "step", "trained_on")
SCORE_COLUMNS = (*RUN_COLUMNS, "dataset", "case", "structure", "stage", *VALUES, "reference_voxels", "predicted_voxels", "status")
DECODER_COLUMNS = (*RUN_COLUMNS, "decoder", "group", "structures", "pruning_rate_percent", "parameters", "nonzero_parameters",
                   "nominal_share", "validation_dsc_before", "validation_dsc_after", "rounds", "updated", "weights_sha256",
                   "multiply_adds_m", "nonzero_multiply_adds_m")
FOOTPRINT_COLUMNS = (*RUN_COLUMNS, "parameters", "nonzero_parameters", "nominal_share_sum", "nominal_parameters_m", "dense_bytes",
                     "sparse_bytes", "seconds", "peak_memory_mib", "decoder_multiply_adds_m", "decoder_seconds")
MERGING_COLUMNS = (*RUN_COLUMNS, "dataset", "case", "structure", "decoder", *VOXELS)
WEIGHTS_COLUMNS = (*RUN_COLUMNS, "network", "weights_sha256", "updated")
TEXT_COLUMNS = {"experiment", "order", "method", "trained_on", "dataset", "case", "structure", "stage", "status", "decoder", "group",
                "structures", "updated", "weights_sha256", "network"}
LATER_COLUMNS = {"multiply_adds_m", "nonzero_multiply_adds_m", "decoder_multiply_adds_m", "decoder_seconds"}  # tables of old lack them
CASE_COLUMNS = ["step", "dataset", "case", "structure"]

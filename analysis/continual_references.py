"""Continual-learning metrics that need the scores of a second run: trained jointly, a specialist per task, or fine-tuned in sequence.

`reference` holds the second run's score on each task, in the order of the matrix's columns, NaN where it has none: a task without a
reference is left out, as is every undefined term. The matrix and `learned` are those of `continual`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.continual import Metric, learning_terms, mean_of, ratio
from analysis.matrix import ScoreMatrix


def intransigence(matrix: np.ndarray, joint: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """I = mean_j (J_j - R[j, j]); negative where learning in sequence was better than learning together.

    joint: J_j, the score on task j of a model trained on tasks 0 to j together. Source: Chaudhry et al. 2018, `intransigence`.
    """
    return mean_of(intransigence_terms(matrix, joint, learned))


def plasticity(matrix: np.ndarray, specialist: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """mean_j (R[j, j] - S_j): what a task gained, or lost, by being learned after the others rather than alone.

    specialist: S_j, the score on task j of a model trained on it alone, as an nnU-Net per dataset.
    """
    return mean_of(gain_terms(matrix, specialist, learned))


def relative_forward_transfer(matrix: np.ndarray, sequential: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """mean_{j>0} (R[j, j] - Q_j) / |Q_j|: how much better a task is learned than by plain fine-tuning, as a share of that.

    sequential: Q_j, the score on task j of sequential fine-tuning right after it learned j. The tasks of the first step are left out:
    nothing comes before them. It measures intransigence against fine-tuning and shares only its name with the forward transfer of
    Lopez-Paz & Ranzato 2017.
    Source: Gonzalez et al. 2023 (Lifelong nnU-Net), `FWT` of its public code. One of its scripts has R[T, j], which mixes in forgetting,
    and leaves out the last task instead of the first; another has R[j, j] from the second task on, as here.
    """
    return mean_of(relative_forward_terms(matrix, sequential, learned))


def intransigence_terms(matrix: np.ndarray, joint: np.ndarray, learned: Sequence[int] | None = None) -> np.ndarray:
    """J_j - R[j, j] for each task -> (task,)."""
    return -gain_terms(matrix, joint, learned)


def gain_terms(matrix: np.ndarray, reference: np.ndarray, learned: Sequence[int] | None = None) -> np.ndarray:
    """R[j, j] minus the reference's score for each task -> (task,). Raises ValueError where the reference has not one score a task."""
    when_learned, reference = learning_terms(matrix, learned), np.asarray(reference, dtype=float)
    if reference.shape != when_learned.shape:
        raise ValueError(f"expected one score of the reference for each of {len(when_learned)} tasks, found shape {reference.shape}")
    return when_learned - reference


def relative_forward_terms(matrix: np.ndarray, sequential: np.ndarray, learned: Sequence[int] | None = None) -> np.ndarray:
    """(R[j, j] - Q_j) / |Q_j| for each task learned after the first step -> (task,), NaN elsewhere and where Q_j is 0."""
    gain = gain_terms(matrix, sequential, learned)
    later = np.arange(len(gain)) if learned is None else np.asarray(learned)
    return np.where(later > 0, ratio(gain, np.asarray(sequential, dtype=float)), np.nan)


def scores_of_reference(matrix: ScoreMatrix, reference: ScoreMatrix) -> np.ndarray:
    """The reference's score on each of the matrix's tasks when the reference had learned it -> (task,), NaN for tasks it has not."""
    found = dict(zip(reference.tasks, learning_terms(reference.values, reference.learned), strict=True))
    return np.array([found.get(task, np.nan) for task in matrix.tasks], dtype=float)


# the run that a metric needs -> the metric; `function` and `terms` take the reference's scores after the matrix
REFERENCE_METRICS = {
    "joint": Metric("intransigence", intransigence, intransigence_terms, "mean_j (J[j] - R[j,j]), J: joint training",
                    "Chaudhry et al. 2018", "I"),
    "specialist": Metric("plasticity against the specialist", plasticity, gain_terms,
                         "mean_j (R[j,j] - S[j]), S: a model for each dataset alone (nnU-Net)", "this benchmark; intransigence with the "
                         "sign turned and specialists in place of joint training", "P"),
    "sequential": Metric("relative forward transfer", relative_forward_transfer, relative_forward_terms,
                         "mean_{j>0} (R[j,j] - Q[j]) / |Q[j]|, Q: sequential fine-tuning",
                         "Gonzalez et al. 2023 (Lifelong nnU-Net), its code", "FWT rel"),
}

"""Continual-learning metrics on a score matrix: matrix[i, j] = score on task j after step i, higher is better, NaN where undefined.

By default the matrix is square and task j is learned at step j. Where tasks are organs, several are learned in one step: then the
matrix is (step, task) and `learned` holds the step in which each task was learned. Every metric is the mean of its terms, one per
task, step, or pair of both, or is made of such a mean; an undefined term (no score then, or no head yet) is left out, and the metric
is NaN when none is left. Metrics that need the scores of a second run are in `continual_references`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


def average_accuracy(matrix: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """A = mean_j R[T, j]: the mean score over all tasks after the last step. Source: Lopez-Paz & Ranzato 2017 (GEM), `ACC`."""
    return mean_of(final_terms(matrix, learned))


def forgetting(matrix: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """F = mean_{j<T} (max_{l<T} R[l, j] - R[T, j]); negative when tasks improve. Source: Chaudhry et al. 2018, equation 3."""
    return mean_of(forgetting_terms(matrix, learned))


def backward_transfer(matrix: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """BWT = mean_{j<T} (R[T, j] - R[j, j]). Source: Lopez-Paz & Ranzato 2017 (GEM)."""
    return mean_of(backward_terms(matrix, learned))


def learning_accuracy(matrix: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """LA = mean_j R[j, j]: the score on each task right after it was learned. Source: Riemer et al. 2019 (MER)."""
    return mean_of(learning_terms(matrix, learned))


def average_incremental_accuracy(matrix: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """AIA = mean_i A_i, A_i = mean_{j<=i} R[i, j]: the mean over steps of the mean over the tasks learned so far.

    Source: Rebuffi et al. 2017 (iCaRL), `average incremental accuracy`.
    """
    return mean_of(incremental_terms(matrix, learned))


def backward_transfer_all_pairs(matrix: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """BWT = mean_{j<i} (R[i, j] - R[j, j]): over every later step, not the last alone. Source: Diaz-Rodriguez et al. 2018."""
    return mean_of(backward_pair_terms(matrix, learned))


def remembering(matrix: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """REM = 1 - |min(BWT, 0)| of BWT over all pairs; 1: nothing lost. For scores in [0, 1]. Source: Diaz-Rodriguez et al. 2018."""
    return float(1 - abs(np.minimum(backward_transfer_all_pairs(matrix, learned), 0)))


def positive_backward_transfer(matrix: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """BWT+ = max(BWT, 0) of BWT over all pairs. Source: Diaz-Rodriguez et al. 2018."""
    return float(np.maximum(backward_transfer_all_pairs(matrix, learned), 0))


def forward_transfer_all_pairs(matrix: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """FWT = mean_{i<j} R[i, j]: the scores on tasks that are not learned yet. Source: Diaz-Rodriguez et al. 2018."""
    return mean_of(forward_pair_terms(matrix, learned))


def relative_backward_transfer(matrix: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """mean_{j<T} (R[T, j] - R[j, j]) / |R[j, j]|: the change as a share of the score when learned.

    The size of R[j, j] divides, so that a loss stays negative for negated distances too; for DSC that is R[j, j] itself.
    Source: Gonzalez et al. 2023 (Lifelong nnU-Net), `BWT` as its public code computes it.
    """
    return mean_of(relative_backward_terms(matrix, learned))


def final_terms(matrix: np.ndarray, learned: Sequence[int] | None = None) -> np.ndarray:
    """R[T, j] for each task -> (task,)."""
    matrix, _ = _checked(matrix, learned)
    return matrix[-1].copy()


def learning_terms(matrix: np.ndarray, learned: Sequence[int] | None = None) -> np.ndarray:
    """R[j, j] for each task -> (task,)."""
    matrix, learned_at = _checked(matrix, learned)
    return matrix[learned_at, np.arange(matrix.shape[1])]


def forgetting_terms(matrix: np.ndarray, learned: Sequence[int] | None = None) -> np.ndarray:
    """max over earlier steps minus final, for each task learned before the last step -> (task,), NaN elsewhere."""
    matrix, learned_at = _checked(matrix, learned)
    earlier = matrix[:-1]
    best = np.where(np.isnan(earlier), -np.inf, earlier).max(axis=0, initial=-np.inf)
    defined = np.isfinite(best) & (learned_at < len(matrix) - 1)
    return np.where(defined, np.where(defined, best, 0.0) - matrix[-1], np.nan)


def backward_terms(matrix: np.ndarray, learned: Sequence[int] | None = None) -> np.ndarray:
    """final minus the score when learned, for each task learned before the last step -> (task,), NaN elsewhere."""
    matrix, learned_at = _checked(matrix, learned)
    change = matrix[-1] - learning_terms(matrix, learned)
    return np.where(learned_at < len(matrix) - 1, change, np.nan)


def incremental_terms(matrix: np.ndarray, learned: Sequence[int] | None = None) -> np.ndarray:
    """The mean over the tasks learned so far, for each step -> (step,)."""
    matrix, learned_at = _checked(matrix, learned)
    return np.array([mean_of(row[learned_at <= step]) for step, row in enumerate(matrix)])


def backward_pair_terms(matrix: np.ndarray, learned: Sequence[int] | None = None) -> np.ndarray:
    """The score at a later step minus that when learned, for each pair of a task and a step after it was learned -> (pair,)."""
    matrix, learned_at = _checked(matrix, learned)
    later = np.arange(len(matrix))[:, None] > learned_at
    return (matrix - learning_terms(matrix, learned))[later]


def forward_pair_terms(matrix: np.ndarray, learned: Sequence[int] | None = None) -> np.ndarray:
    """The score, for each pair of a task and a step before it was learned -> (pair,)."""
    matrix, learned_at = _checked(matrix, learned)
    return matrix[np.arange(len(matrix))[:, None] < learned_at]


def relative_backward_terms(matrix: np.ndarray, learned: Sequence[int] | None = None) -> np.ndarray:
    """`backward_terms` divided by the size of the score when learned -> (task,), NaN also where that is 0."""
    return ratio(backward_terms(matrix, learned), learning_terms(matrix, learned))


def mean_of(terms: np.ndarray) -> float:
    """The mean of the defined terms, NaN without any."""
    defined = terms[~np.isnan(terms)]
    return float(defined.mean()) if defined.size else float("nan")


def ratio(change: np.ndarray, base: np.ndarray) -> np.ndarray:
    """`change` / |`base`|, NaN where `base` is 0 or undefined."""
    size = np.abs(base)
    return np.divide(change, size, out=np.full(np.shape(change), np.nan), where=size > 0)


@dataclass(frozen=True)
class Metric:
    """A metric with what a table prints beside it.

    symbol: its column where it has no room for the name; unit: what its terms are counted in; bounded: only for scores in [0, 1].
    """

    name: str
    function: Callable[..., float]
    terms: Callable[..., np.ndarray]
    formula: str
    source: str
    symbol: str
    unit: str = "tasks"
    bounded: bool = False

    def note(self) -> str:
        """Name, symbol, formula and source in one sentence each."""
        return f"{self.name} ({self.symbol}): {self.formula}. Source: {self.source}."


_GEM, _DIAZ = "Lopez-Paz & Ranzato 2017 (GEM)", "Diaz-Rodriguez et al. 2018"
BASIC_METRICS = (
    Metric("average accuracy", average_accuracy, final_terms, "mean_j R[T,j]", _GEM, "ACC"),
    Metric("forgetting", forgetting, forgetting_terms, "mean_{j<T} (max_{l<T} R[l,j] - R[T,j])", "Chaudhry et al. 2018, eq. 3", "F"),
    Metric("backward transfer", backward_transfer, backward_terms, "mean_{j<T} (R[T,j] - R[j,j])", _GEM, "BWT"),
    Metric("learning accuracy", learning_accuracy, learning_terms, "mean_j R[j,j]", "Riemer et al. 2019 (MER)", "LA"),
)
METRICS = (
    *BASIC_METRICS,
    Metric("average incremental accuracy", average_incremental_accuracy, incremental_terms, "mean_i mean_{j<=i} R[i,j]",
           "Rebuffi et al. 2017 (iCaRL)", "AIA", "steps"),
    Metric("backward transfer, all pairs", backward_transfer_all_pairs, backward_pair_terms, "mean_{j<i} (R[i,j] - R[j,j])", _DIAZ,
           "BWT all", "pairs of task and step"),
    Metric("remembering", remembering, backward_pair_terms, "1 - |min(BWT all, 0)|, for scores in [0, 1]", _DIAZ, "REM",
           "pairs of task and step", bounded=True),
    Metric("positive backward transfer", positive_backward_transfer, backward_pair_terms, "max(BWT all, 0)", _DIAZ, "BWT+",
           "pairs of task and step"),
    Metric("forward transfer, all pairs", forward_transfer_all_pairs, forward_pair_terms,
           "mean_{i<j} R[i,j], undefined where nothing is scored on a task before it is learned", _DIAZ, "FWT all",
           "pairs of task and step"),
    Metric("relative backward transfer", relative_backward_transfer, relative_backward_terms, "mean_{j<T} (R[T,j] - R[j,j]) / |R[j,j]|",
           "Gonzalez et al. 2023 (Lifelong nnU-Net), its code", "BWT rel"),
)


def _checked(matrix: np.ndarray, learned: Sequence[int] | None) -> tuple[np.ndarray, np.ndarray]:
    matrix = np.asarray(matrix, dtype=float)
    if matrix.ndim != 2 or not matrix.shape[0]:
        raise ValueError(f"expected a (step, task) matrix with at least one step, found shape {matrix.shape}")
    if learned is None and matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a matrix of shape {matrix.shape} needs `learned`, the step in which each task was learned")
    learned_at = np.arange(matrix.shape[1]) if learned is None else np.asarray(learned, dtype=int).reshape(-1)
    if len(learned_at) != matrix.shape[1] or (len(learned_at) and not 0 <= learned_at.min() <= learned_at.max() < len(matrix)):
        raise ValueError(f"`learned` must hold one step of the {len(matrix)} for each of the {matrix.shape[1]} tasks")
    return matrix, learned_at

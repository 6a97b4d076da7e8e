"""Continual-learning metrics on a score matrix: matrix[i, j] = score on task j after step i, higher is better, NaN where undefined.

By default the matrix is square and task j is learned at step j. Where tasks are organs, several are learned in one step: then the
matrix is (step, task) and `learned` holds the step in which each task was learned. Every metric is the mean of one term per task;
an undefined term (no score then, or no head yet) is left out, and the metric is NaN when none is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


def average_accuracy(matrix: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """A = mean_j R[T, j]: the mean score over all tasks after the last step. Source: Lopez-Paz & Ranzato 2017 (GEM), `ACC`."""
    return _mean(final_terms(matrix, learned))


def forgetting(matrix: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """F = mean_{j<T} (max_{l<T} R[l, j] - R[T, j]); negative when tasks improve. Source: Chaudhry et al. 2018, equation 3."""
    return _mean(forgetting_terms(matrix, learned))


def backward_transfer(matrix: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """BWT = mean_{j<T} (R[T, j] - R[j, j]). Source: Lopez-Paz & Ranzato 2017 (GEM)."""
    return _mean(backward_terms(matrix, learned))


def learning_accuracy(matrix: np.ndarray, learned: Sequence[int] | None = None) -> float:
    """LA = mean_j R[j, j]: the score on each task right after it was learned. Source: Riemer et al. 2019 (MER)."""
    return _mean(learning_terms(matrix, learned))


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


@dataclass(frozen=True)
class Metric:
    """A metric with what a table prints beside it."""

    name: str
    function: Callable[..., float]
    terms: Callable[..., np.ndarray]
    formula: str
    source: str


METRICS = (
    Metric("average accuracy", average_accuracy, final_terms, "mean_j R[T,j]", "Lopez-Paz & Ranzato 2017 (GEM)"),
    Metric("forgetting", forgetting, forgetting_terms, "mean_{j<T} (max_{l<T} R[l,j] - R[T,j])", "Chaudhry et al. 2018, eq. 3"),
    Metric("backward transfer", backward_transfer, backward_terms, "mean_{j<T} (R[T,j] - R[j,j])", "Lopez-Paz & Ranzato 2017 (GEM)"),
    Metric("learning accuracy", learning_accuracy, learning_terms, "mean_j R[j,j]", "Riemer et al. 2019 (MER)"),
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


def _mean(terms: np.ndarray) -> float:
    defined = terms[~np.isnan(terms)]
    return float(defined.mean()) if defined.size else float("nan")

"""Linear interpolation along one axis by the one or two neighbours that each output reads."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import torch
from torch import Tensor

from clnet.data.resample import axis_weights


class LinearAxis:
    """From `size_in` to `size_out` values over the same extent, by the weights of `clnet.data.resample.axis_weights`.

    An output is computed from its neighbours alone, by the same two multiplications and one addition wherever it is cut out of its
    axis: pieces are equal to the whole to the bit, which matrix products of another shape are not. first, last: input that each output
    reads first and last, in order; of linear interpolation the two are neighbours or the same.
    """

    def __init__(self, size_in: int, size_out: int):
        weights = torch.tensor(axis_weights(size_in, size_out))
        read = weights > 0
        first, last = read.int().argmax(1), size_in - 1 - read.flip(1).int().argmax(1)
        outputs = torch.arange(size_out)
        self._index, self._weight = (first, last), (weights[outputs, first], weights[outputs, last] * (last > first))
        self.first, self.last, self.size_out = first.tolist(), last.tolist(), size_out
        self.same = size_in == size_out  # every output is the input of its number

    def ready(self, stop: int) -> int:
        """How many outputs, from the first on, read inputs before `stop` alone."""
        return bisect_left(self.last, stop)

    def reads(self, outputs: slice) -> slice:
        """The inputs that these outputs read; there must be at least one output."""
        return slice(self.first[outputs.start], self.last[outputs.stop - 1] + 1)

    def readers(self, inputs: slice) -> slice:
        """The outputs that read any of these inputs."""
        return slice(bisect_left(self.last, inputs.start), bisect_right(self.first, inputs.stop - 1))

    def along(self, axis: int, values: Tensor, outputs: slice, start: int) -> Tensor:
        """The outputs, of values that hold the inputs from `start` on along the tensor's `axis`; may be a view of them."""
        if self.same:
            return values.narrow(axis, outputs.start - start, outputs.stop - outputs.start)
        shape = [-1 if dimension == axis else 1 for dimension in range(values.ndim)]
        low, high = (
            values.index_select(axis, (index[outputs] - start).to(values.device)).mul_(weight[outputs].to(values).view(shape))
            for index, weight in zip(self._index, self._weight, strict=True)
        )
        return low.add_(high)

"""Numbers that spread words of 64 bits, so that unequal ones rarely have equal sums."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

GOLDEN_RATIO = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio, an odd number whose multiples lie evenly."""


def odd_factors(count: int) -> npt.NDArray[np.uint64]:
    """An odd factor for each of `count` words; the first factors are the same for every count."""
    return np.array([GOLDEN_RATIO * (2 * index + 1) % 2**64 for index in range(count)], np.uint64)

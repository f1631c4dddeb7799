"""Thinning of long lines to few points that keep every peak, so that pages stay small."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from forecaster.evaluation.metrics import Array

MAX_POINTS = 1500


def thinned(values: Array, most: int = MAX_POINTS) -> npt.NDArray[np.int64]:
    """Return the indices of at most ``most`` points, ascending, that draw the same line.

    The lowest and the highest sample of each bucket are kept. Of a bucket without a known sample
    the first one is kept, so that the line has a gap.

    >>> thinned(np.array([5.0, 1, 1, 9, 2, 2, 2, 3]), most=4).tolist()
    [1, 3, 4, 7]
    """
    if len(values) <= most:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), max(most // 2, 1) + 1).astype(np.int64)
    places: list[int] = []
    for begin, end in pairwise(edges.tolist()):
        bucket = values[begin:end]
        if not np.isfinite(bucket).any():
            places.append(begin)
            continue
        extremes = {int(begin + np.nanargmin(bucket)), int(begin + np.nanargmax(bucket))}
        places += sorted(extremes)
    return np.array(places, dtype=np.int64)

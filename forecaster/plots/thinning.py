"""Long lines drawn with few points, so that a page stays small and no peak is lost."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from forecaster.evaluation.metrics import Array

MAX_POINTS = 1500


def thinned(values: Array, most: int = MAX_POINTS) -> npt.NDArray[np.int64]:
    """Return the places of at most ``most`` points, ascending, that draw the same line.

    Of each bucket of samples, the lowest and the highest are kept; of one without any known
    sample, its first, so that the line has its gap.

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

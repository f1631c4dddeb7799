"""The last ticks, for the page."""

import numpy as np

from scaler.control.tick_history import REMEMBERED, TickHistory


def test_what_was_shown_is_not_written_over():
    history = TickHistory()
    history.append(0.0, (100.0, 4.0, 4.0, 4.0, 4.0, 200.0))
    shown = history.shown()
    first = shown.qps.copy()
    for now in range(1, 3 * REMEMBERED):
        history.append(15.0 * now, (float(now % 7), 4.0, 4.0, 4.0, 4.0, 200.0))
    assert (shown.qps == first).all()
    kept = history.shown()
    assert len(kept.stamps) <= REMEMBERED
    assert (np.diff(kept.stamps) == 15.0).all()
    assert kept.stamps[-1] == 15.0 * (3 * REMEMBERED - 1)

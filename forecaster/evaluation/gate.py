"""The champion gate: whether a new model may serve, and which of its candidates then does.

The rule is the one by which a candidate is chosen for an item: who serves goes on, unless another
is better by more than chance, or last value is better at peaks by as much. The first model of a
name has nobody that would go on in its place, so it serves in any case, by its best candidate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from forecaster.data.series import History
from forecaster.evaluation.backtest import SERVED, Backtest, backtest, beats_all
from forecaster.models.forecaster import Forecaster


@dataclass(frozen=True, eq=False)
class Judgement:
    """A forecaster as it is to be stored, its backtest, whether it may be champion, and why."""

    forecaster: Forecaster
    result: Backtest
    passed: bool
    reason: str


def judge(
    forecaster: Forecaster,
    history: History,
    *,
    first: bool,
    on_item: Callable[[str], None] = lambda _: None,
) -> Judgement:
    """Return the judgement of a new model on the test parts of ``history``.

    Args:
        forecaster: the new model.
        history: the items to test it on.
        first: whether there is no champion that would serve instead.
        on_item: called with each item that is tested.
    """
    result = backtest(forecaster, history, on_item=on_item)
    passed, reason = beats_all(result)
    if passed or not first:
        return Judgement(forecaster, result, passed, reason)
    best, lead = result.winner
    if best == SERVED:
        return Judgement(forecaster, result, True, f"{reason}; there is no other to serve")
    sound = forecaster.served_by(best, f"{lead}, in the backtest of the first model")
    why = f"{best} serves all items of this first one; it is {lead}"
    return Judgement(sound, backtest(sound, history), True, why)

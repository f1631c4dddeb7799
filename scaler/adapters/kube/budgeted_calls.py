"""Calls to the API server within the budget of a tick."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scaler.adapters.call_budget import CallBudget
from scaler.errors import ClusterUnreachableError


class BudgetExhaustedError(ClusterUnreachableError):
    """The budget of this tick is spent; no call was made."""


@contextmanager
def calling(budget: CallBudget) -> Iterator[None]:
    """Make calls within the budget, and count whether the API server replied.

    Raises:
        BudgetExhaustedError: the budget is spent.
    """
    exhausted = budget.exhausted()
    if exhausted is not None:
        raise BudgetExhaustedError(exhausted)
    try:
        yield
    except ClusterUnreachableError as error:
        budget.unanswered(str(error))
        raise
    budget.replied()

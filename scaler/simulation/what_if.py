"""What-if: replays of one history under one policy, in which one field takes several values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict, TypeVar, Unpack

import scaler as api
from forecaster.data.html_tables import html_table
from forecaster.data.series import History, Series
from forecaster.models.forecaster import Forecaster
from scaler.errors import ReplayError
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import ReplaySettings
from scaler.simulation.contest import HPA, TIDEGATE, Contest
from scaler.simulation.findings import COLUMNS, row
from scaler.simulation.replay import replay

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


T = TypeVar("T")


class SweepOptions(TypedDict, total=False):
    """What `replay` takes besides history, policy and settings."""

    forecaster: Forecaster
    start: datetime
    targets: Sequence[float]


@dataclass(frozen=True, eq=False)
class Sweep:
    """The replays of a sweep, by a name such as ``"trust.risk = 0.01"``."""

    contests: Mapping[str, Contest]

    def to_frame(self) -> pd.DataFrame:
        """Return a row per value and contender: `ReplayOutcome` as columns."""
        return api.sweep_to_frame(self)

    def plot(self) -> go.Figure:
        """Return tidegate's cost against violations, with a curve each where targets are swept."""
        return api.plot_sweep(self)

    def _repr_html_(self) -> str:
        """Return tidegate's figures at each value, below those of the HPA at the first one."""
        first = next(iter(self.contests.values()))
        rows = [_named(HPA, first, HPA)]
        rows += [_named(name, contest, TIDEGATE) for name, contest in self.contests.items()]
        return html_table("What if", COLUMNS, rows)


def _named(name: str, contest: Contest, contender: str) -> list[str]:
    return [name, *row(contest, contest.outcome(contender))[1:]]


def sweep(
    history: History | Series,
    policy: Policy,
    field: str,
    values: Sequence[object],
    settings: ReplaySettings | None = None,
    **options: Unpack[SweepOptions],
) -> Sweep:
    """Return the replay at each value of one field; see `replay`.

    Args:
        history: as `replay`.
        policy: as `replay`.
        field: of the policy, with a dot where it is within another (``"trust.risk"``,
            ``"scale.target_utilization"``), or of `ReplaySettings` (``"start_up_s"``).
        values: that it takes, one after the other.
        settings: as `replay`.
        options: as `replay`; without ``targets``, each replay is the table alone.

    Raises:
        ReplayError: there is no such field, or a value is not allowed in it; or as `replay`.
        HistoryError: as `replay`.
    """
    settings = settings or ReplaySettings()
    options.setdefault("targets", ())
    if not values:
        raise ReplayError(f"no values of {field} are given; give at least one")
    first = field.partition(".")[0]
    if first not in _fields(policy) + _fields(settings):
        known = ", ".join(_fields(policy) + _fields(settings))
        raise ReplayError(
            f"{field!r} is no field of a policy or of ReplaySettings; there are: {known}"
        )
    cases: dict[str, tuple[Policy, ReplaySettings]] = {}
    for value in values:
        if first in _fields(policy):
            case = _changed(policy, field, value), settings
        else:
            case = policy, _changed(settings, field, value)
        _require_possible(*case)
        cases[f"{field} = {value}"] = case
    return Sweep({name: replay(history, *case, **options) for name, case in cases.items()})


def _require_possible(policy: Policy, settings: ReplaySettings) -> None:
    """Raise before anything is replayed where the service cannot be like that."""
    try:
        settings.service_model(policy.slo, policy.capacity_qps or 1.0)
    except (TypeError, ValueError) as error:
        raise ReplayError(f"the service cannot be like that: {error}") from error


def _changed(whole: T, field: str, value: object) -> T:
    """Return a dataclass in which the field at a path is another.

    Raises:
        ReplayError: there is no such field, or it cannot be this value.
    """
    first, _, rest = field.partition(".")
    if first not in _fields(whole):
        known = ", ".join(_fields(whole)) or "none"
        raise ReplayError(f"{first!r} is no field of {type(whole).__name__}; there are: {known}")
    try:
        inner = _changed(getattr(whole, first), rest, value) if rest else value
        changed: T = replace(whole, **{first: inner})  # type: ignore[type-var]
    except (TypeError, ValueError) as error:
        raise ReplayError(f"{first} cannot be {value!r}: {error}") from error
    return changed


def _fields(value: object) -> list[str]:
    return [one.name for one in fields(value)] if dataclasses.is_dataclass(value) else []

"""Reviews in a process of their own: a tick neither waits for one nor shares its interpreter.

Each review is one process, which ends with it: what it has loaded, the model and a month of
history, is given back. It runs at the lowest priority.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.clocks.steady import steady_seconds
from scaler.control.reviewed_policies import DoneReview, ReviewJob
from scaler.decision.days import DAY_S

if TYPE_CHECKING:
    from forecaster.adapters.prometheus.settings import PrometheusSettings
    from forecaster.data.series import Series
    from scaler.decision.review import Review

LOGGER = logging.getLogger(__name__)
# Looked back upon are 28 days; the week before them is what the first of them is forecast from.
PAST = timedelta(days=36)
# After this a review is given up: it hangs, or the machine has no time for it.
LONGEST_S = 3600.0
# Between two tries to read a past that does not come at once, and how often.
_RETRY_S, _TRIES = 10.0, 12


@dataclass(frozen=True)
class ReviewSources:
    """Where a review reads.

    Attributes:
        prometheus: URL and credentials.
        namespace_label: that queries are held to; None: they are not.
        models: registry.
    """

    prometheus: PrometheusSettings
    namespace_label: str | None
    models: str | os.PathLike[str]


class ReviewProcess:
    """Makes one review at a time. Confined to one thread.

    Args:
        sources: where reviews read.
        make: makes a review in the process that is started; a function of a module.
        longest_s: after this a review is given up.
    """

    def __init__(
        self,
        sources: ReviewSources,
        make: Callable[[ReviewSources, ReviewJob], Review] | None = None,
        longest_s: float = LONGEST_S,
    ) -> None:
        self._sources, self._make, self._longest_s = sources, make or review_from, longest_s
        self._item, self._begun = "", 0.0
        self._process: BaseProcess | None = None
        self._answer: Connection | None = None

    def begin(self, job: ReviewJob) -> bool:
        """Start the process of a job; return False while another one is at work."""
        if self._process is not None:
            return False
        context = get_context("spawn")  # a copy of this one would inherit the locks of its threads
        self._answer, theirs = context.Pipe(duplex=False)
        arguments = (theirs, self._make, self._sources, job)
        self._process = context.Process(target=_work, args=arguments, daemon=True)
        self._process.start()
        theirs.close()  # so that its end is seen
        self._item, self._begun = job.watched.policy.item_id, steady_seconds()
        return True

    def done(self) -> DoneReview | None:
        """Return what came of the job; None while it is at work, or there is none."""
        if self._process is None or self._answer is None:
            return None
        found: Review | str = f"it was given up after {self._longest_s:.0f} s"
        if self._answer.poll():
            try:
                found = self._answer.recv()
            except EOFError:
                found = f"its process ended, with exit code {self._process.exitcode}"
        elif steady_seconds() - self._begun <= self._longest_s:
            return None
        self.close()
        if isinstance(found, str):
            return DoneReview(self._item, None, found)
        return DoneReview(self._item, found)

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None and self._answer is not None:
            self._process.kill()
            self._process.join()
            self._answer.close()
        self._process = self._answer = None


def _work(
    answer: Connection,
    make: Callable[[ReviewSources, ReviewJob], Review],
    sources: ReviewSources,
    job: ReviewJob,
) -> None:
    os.nice(19)
    with suppress(OSError):  # where memory is short this goes first, not who decides
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    try:
        answer.send(make(sources, job))
    except Exception as error:  # whoever asked is told
        LOGGER.exception("%s: its review failed", job.watched.policy.item_id)
        answer.send(f"{type(error).__name__}: {error}")


def review_from(sources: ReviewSources, job: ReviewJob) -> Review:
    """Return the review of a service by its past in Prometheus and the models of the registry.

    Raises:
        ScalerError: its past cannot be read, or its policy names no model.
        ForecasterError: not even the model that ships can be loaded.
    """
    from scaler.adapters.shipped_model import trained_or_shipped
    from scaler.commands.replay_inputs import with_shipped
    from scaler.errors import ScalerError
    from scaler.policy.replay_settings import ReplaySettings
    from scaler.simulation.review import PastDays, Subject, reviewed
    from scaler.simulation.tuning import rules_of

    watched = job.watched
    policy = replace(watched.policy, capacity_qps=job.capacity_qps)
    if policy.model is None:
        raise ScalerError(
            f"{policy.item_id}: spec.demand.model names no forecaster, so nothing is forecast and "
            "settings cannot be chosen; name one, such as `default`"
        )
    series = _past(sources, job)
    if policy.timezone is not None:
        series = replace(series, timezone=policy.timezone)
    champion, _ = trained_or_shipped(sources.models, policy.model)
    forecasters = with_shipped(champion.forecaster)
    ramp = policy.ramp
    settings = ReplaySettings(
        watched.hpa, start_up_s=job.start_up_s, ramp_s=ramp.duration_s, ramp_initial=ramp.initial
    )
    days = PastDays(Subject(policy, settings, forecasters), series)
    rules = rules_of(policy, job.capacity_qps)
    return reviewed(days, rules, watched.review, job.today)


def _past(sources: ReviewSources, job: ReviewJob) -> Series:
    import numpy as np

    from scaler.adapters.namespace_label import holder_of
    from scaler.adapters.prometheus_traffic import PrometheusTraffic
    from scaler.errors import ScalerError

    policy = job.watched.policy
    hold = holder_of(sources.namespace_label)
    traffic = PrometheusTraffic(sources.prometheus, timedelta(minutes=1), 1, None, hold)
    asked = [(policy.item_id, policy.demand_query or "")]
    found: Series | str = ""
    try:
        for _ in range(_TRIES):
            (found,) = traffic.histories(asked, PAST, job.today * DAY_S)
            if not isinstance(found, str):
                if np.isnan(found.values).all():
                    raise ScalerError(f"{policy.item_id}: Prometheus has no sample of its past")
                return found
            time.sleep(_RETRY_S)
    finally:
        traffic.close()
    raise ScalerError(f"{policy.item_id}: its past could not be read: {found}")

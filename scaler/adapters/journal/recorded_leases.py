"""A lease service that records what it is asked and what it answers.

A call is answered by the tick that was the latest when it began, and by the time that it was
handed; both are recorded with it. Confined to the server's event loop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from scaler.adapters.http.exchange import LeaseReply, LeaseRequest
from scaler.adapters.http.lease_service import LatestSnapshot, LeaseService
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import HeldSnapshot
from scaler.adapters.journal.events import LeasesCalled, LeasesRemember, LeaseTold, SeenTick
from scaler.adapters.journal.journal import Journal


class _PinnedSnapshot:
    """The latest snapshot, but that it stays the same within a call."""

    def __init__(self, holder: LatestSnapshot) -> None:
        self._holder, self.clock = holder, holder.clock
        self._pinned: HeldSnapshot | None = None
        self._depth = 0

    def latest(self) -> HeldSnapshot | None:
        return self._pinned if self._depth else self._holder.latest()

    @contextmanager
    def pinned(self) -> Iterator[tuple[HeldSnapshot | None, bool]]:
        """Pin it; yield it, and whether this is the outermost call."""
        if not self._depth:
            self._pinned = self._holder.latest()
        self._depth += 1
        try:
            yield self._pinned, self._depth == 1
        finally:
            self._depth -= 1


class RecordedLeases(LeaseService):
    """Answers gateways as `LeaseService` does.

    Args:
        holder, settings, epoch: as there.
        journal: that is kept.
    """

    def __init__(
        self, holder: LatestSnapshot, settings: ApiSettings, epoch: str, journal: Journal
    ) -> None:
        self._snapshots, self._journal = _PinnedSnapshot(holder), journal
        self._since: int | None = None  # first tick of the file that knows what we remember
        super().__init__(self._snapshots, settings, epoch)

    def reply(self, service: str, request: LeaseRequest, now: float) -> LeaseReply:
        with self._call("reply", service, (request,), now) as told:
            answer = super().reply(service, request, now)
            told([answer])
        return answer

    def may_wait(self, service: str, request: LeaseRequest, now: float) -> bool:
        with self._call("may_wait", service, (request,), now) as told:
            waits = super().may_wait(service, request, now)
            told(waits)
        return waits

    def renew(self, service: str, request: LeaseRequest, now: float) -> LeaseReply:
        with self._call("renew", service, (request,), now) as told:
            answer = super().renew(service, request, now)
            told([answer])
        return answer

    def changed(
        self, service: str, requests: Iterable[LeaseRequest], now: float
    ) -> list[LeaseReply | None]:
        waiting, before = tuple(requests), self.stamp(service)
        with self._call("changed", service, waiting, now) as told:
            answers = super().changed(service, waiting, now)
            # Each service has a round a second, and most of them come to nothing.
            if any(answers) or not _same(before, self.stamp(service)):
                told(answers)
        return answers

    def drop_empty(self, now: float) -> None:
        with self._call("drop_empty", "", (), now) as told:
            super().drop_empty(now)
            told([])

    @contextmanager
    def _call(
        self, call: str, service: str, asked: tuple[LeaseRequest, ...], now: float
    ) -> Iterator[Callable[[list[LeaseReply | None] | bool], None]]:
        said: list[list[LeaseReply | None] | bool] = []
        with self._snapshots.pinned() as (held, outermost):
            if not outermost:
                yield said.append
                return
            with self._journal.recording():
                self._remember(held)
            refused = None
            try:
                yield said.append
            except Exception as error:
                refused = told_of(error)
                raise
            finally:
                with self._journal.recording():
                    if said or refused is not None:
                        seen = held if held is None else _seen(held)
                        waits, told = _said(asked, said)
                        self._journal.put(
                            LeasesCalled(call, service, now, seen, asked, told, waits, refused),
                            units=len(asked) + 1,
                        )

    def _remember(self, held: HeldSnapshot | None) -> None:
        """Have a new file know what we remember, once its own ticks are seen."""
        first = self._journal.first_tick
        if first is None or first == self._since or held is None:
            return
        if held.snapshot.tick >= first:
            self._since = first
            self._journal.put(LeasesRemember(self.memory()), units=len(self.gateways()) + 1)


def _seen(held: HeldSnapshot) -> SeenTick:
    return SeenTick(held.snapshot.tick, held.began_at, held.reign)


def _said(
    asked: tuple[LeaseRequest, ...], said: list[list[LeaseReply | None] | bool]
) -> tuple[bool | None, tuple[LeaseTold, ...]]:
    """Return whether the gateway may wait, and what those who were answered were told."""
    (answers,) = said or [[]]
    if isinstance(answers, bool):
        return answers, ()
    return None, told_to(asked, answers) if answers else ()


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """Whether two stamps say the same; an object is the same as itself alone."""
    plain = int, float
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(
        a is b or (isinstance(a, plain) and a == b) for a, b in pairs
    )


def told_of(error: Exception) -> str:
    """Return what a call is recorded to have failed with."""
    if isinstance(error, RequestProblem):
        return f"{error.status} {error}"
    return repr(error)


def told_to(
    asked: Iterable[LeaseRequest], answers: Iterable[LeaseReply | None]
) -> tuple[LeaseTold, ...]:
    """Return what was answered, to those who were answered."""
    return tuple(
        LeaseTold(one.instance, answer.lease.etag, answer.changed, digest(answer.lease.json_body))
        for one, answer in zip(asked, answers, strict=True)
        if answer is not None
    )


def digest(body: bytes) -> str:
    """Return what tells one answer from another."""
    return hashlib.blake2b(body, digest_size=8).hexdigest()

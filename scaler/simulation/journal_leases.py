"""The lease service, asked again what a journal says that gateways asked it."""

from __future__ import annotations

from collections.abc import Mapping

from scaler.adapters.http.exchange import LeaseReply
from scaler.adapters.http.lease_memory import LeasesMemory
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import HeldSnapshot
from scaler.adapters.journal.events import JournalHead, LeasesCalled, LeaseTold
from scaler.adapters.journal.recorded_leases import told_of, told_to
from scaler.control.snapshot import Snapshot
from scaler.simulation.journal_ports import Difference


class LeasesReplay:
    """A lease service that goes on from what it remembered.

    Args:
        head: of the journal.
        snapshots: of the last ticks, by their number; whoever replays the loop adds to them.
        memory: of the lease service.
    """

    def __init__(
        self, head: JournalHead, snapshots: Mapping[int, Snapshot], memory: LeasesMemory
    ) -> None:
        self._snapshots = snapshots
        self._seen: HeldSnapshot | None = None
        settings = ApiSettings(stale_after_s=head.stale_after_s, learns_shares=head.learns_shares)
        self._service = LeaseService(self, settings, memory.epoch)
        self._service.recall(memory)
        self.differences: list[Difference] = []

    def memory(self) -> LeasesMemory:
        return self._service.memory()

    def clock(self) -> float:
        """Return any time: each call brings its own."""
        return 0.0

    def latest(self) -> HeldSnapshot | None:
        return self._seen

    def call(self, event: LeasesCalled) -> list[LeaseReply | None] | None:
        """Return what each gateway is answered now; None: the tick that was seen is not known."""
        seen = event.seen
        if seen is not None and seen.tick not in self._snapshots:
            return None
        self._seen, tick = None, 0
        if seen is not None:
            tick = seen.tick
            self._seen = HeldSnapshot(self._snapshots[tick], seen.since, seen.reign)
        found, refused = self._answered(event)
        answers = [] if isinstance(found, bool) else found
        told = told_to(event.asked, answers) if answers else ()
        waits = found if isinstance(found, bool) else None
        for what, recorded, replayed in (
            ("refusal", event.refused, refused),
            ("wait", event.waits, waits),
        ):
            if recorded != replayed:
                self._differs(tick, event, what, recorded, replayed)
        before = {one.instance: one for one in event.told}
        after = {one.instance: one for one in told}
        for name in {**before, **after}:
            if before.get(name) != after.get(name):
                whom = f"{event.service}, gateway {name}"
                pair = _lease(before.get(name)), _lease(after.get(name))
                self.differences.append(Difference(tick, whom, "lease", *pair))
        return answers

    def _answered(self, event: LeasesCalled) -> tuple[list[LeaseReply | None] | bool, str | None]:
        service, asked, now = event.service, event.asked, event.at
        try:
            if event.call == "reply":
                return [self._service.reply(service, asked[0], now)], None
            if event.call == "may_wait":
                return self._service.may_wait(service, asked[0], now), None
            if event.call == "renew":
                return [self._service.renew(service, asked[0], now)], None
            if event.call == "changed":
                return self._service.changed(service, asked, now), None
            self._service.drop_empty(now)
        except Exception as error:  # noqa: BLE001 - what failed then fails again
            return [], told_of(error)
        return [], None

    def _differs(
        self, tick: int, event: LeasesCalled, what: str, recorded: object, replayed: object
    ) -> None:
        names = ", ".join(one.instance for one in event.asked) or "nobody"
        whom = f"{event.service}, gateway {names}"
        self.differences.append(Difference(tick, whom, what, recorded, replayed))


def _lease(told: LeaseTold | None) -> str:
    if told is None:
        return "nothing"
    return f"{told.etag} {'anew' if told.changed else 'as held'} ({told.body})"

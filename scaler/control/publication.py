"""Who is told of a tick, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scaler.control.snapshot import Snapshot
from scaler.control.unfailing_log import UnfailingLogger

LOGGER = UnfailingLogger(__name__)

Subscriber = Callable[[Snapshot], None]


def in_turn(subscribers: Sequence[Subscriber]) -> Subscriber:
    """Return what tells each subscriber, first to last; one that fails fails no other.

    What gateways act on comes first: nobody else can fail it then, nor delay it.
    """

    def publish(snapshot: Snapshot) -> None:
        for subscriber in subscribers:
            try:
                subscriber(snapshot)
            except Exception:  # the others are told, and the next tick comes
                LOGGER.exception("a snapshot could not be published everywhere")

    return publish

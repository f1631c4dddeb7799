"""What is remembered of one policy's floor; pure. It belongs to one HPA, by its UID.

What concerns a floor that somebody else contests outlives the leader: it is kept in the policy's
status beside the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scaler.control.checkpoint import EMPTY_CHECKPOINT, to_plain
from scaler.hpa.floor_ownership import revert_backoff_s

CONTEST = "contest"  # the key in `status.published`
# A write that was refused while nothing of ours stands is tried again after this.
REFUSED_PAUSE_S = 60.0
NEVER = (0.0, 0.0)


@dataclass(slots=True)
class FloorState:
    """The state of one floor.

    Attributes:
        uid: of the HPA that this is known of; empty before the first look at one.
        reverts: how often another writer has reverted it.
        backoff: from when until when it is left alone; a clock that was set back is before it.
        manager: field manager of the last revert.
        refused, refusal: from when until when a write that was refused is not tried again, and why.
        left_alone: whether it was restored because somebody has asked to leave it alone.
        last_message: of the last Event, which is not repeated.
        acted_in: the round in which it was last acted on.
    """

    uid: str = ""
    reverts: int = 0
    backoff: tuple[float, float] = NEVER
    manager: str = "somebody"
    refused: tuple[float, float] = NEVER
    refusal: str = ""
    left_alone: bool = False
    last_message: str = ""
    acted_in: int = 0

    def follow(self, uid: str) -> None:
        """Forget what is known of another HPA of the same name."""
        if self.uid not in ("", uid):
            self.reverts, self.backoff, self.manager = 0, NEVER, "somebody"
            self.refused, self.last_message = NEVER, ""
        self.uid = uid

    def contested(self, manager: str | None, now: float) -> None:
        """Note a revert, and leave the floor alone for longer than after the one before."""
        self.reverts += 1
        self.backoff = now, now + revert_backoff_s(self.reverts)
        self.manager = manager or "somebody"

    def was_refused(self, why: str, now: float) -> None:
        """Note a refused write, and do not try it again at once."""
        self.refused, self.refusal = (now, now + REFUSED_PAUSE_S), why

    def backs_off(self, now: float) -> bool:
        """Return whether a floor that somebody contests is left alone now."""
        return self.backoff[0] <= now < self.backoff[1]

    def pauses(self, now: float) -> bool:
        """Return whether a write that was refused is not tried now."""
        return self.refused[0] <= now < self.refused[1]


def state_from_plain(published: Mapping[str, Any] | None) -> FloorState:
    """Return the state that another leader has left; a fresh one where it left none.

    >>> left = {"uid": "1", "reverts": 2, "since": 0.0, "until": 9.0, "by": "x"}
    >>> state_from_plain({"contest": left}).backs_off(8.0)
    True
    """
    left: Any = (published or {}).get(CONTEST)
    try:
        return FloorState(
            str(left["uid"]),
            max(int(left["reverts"]), 0),
            (float(left["since"]), float(left["until"])),
            str(left["by"]),
        )
    except (TypeError, KeyError, ValueError, OverflowError):  # there is none, or of another version
        return FloorState()


def with_contest(
    published: Mapping[str, Any] | None, state: FloorState
) -> Mapping[str, Any] | None:
    """Return what is published of a service, with what is known of who contests its floor."""
    rest = {key: value for key, value in (published or {}).items() if key != CONTEST}
    if not state.reverts:
        return rest or None
    contest = {
        "uid": state.uid,
        "reverts": state.reverts,
        "since": state.backoff[0],
        "until": state.backoff[1],
        "by": state.manager,
    }
    return {**(rest or to_plain(EMPTY_CHECKPOINT)), CONTEST: contest}

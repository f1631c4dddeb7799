"""What is remembered of one policy's floor; pure. It belongs to one HPA, by its UID.

What concerns a floor that somebody else contests outlives the leader: it is kept in the policy's
status beside the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scaler.control.checkpoint import EMPTY_CHECKPOINT, to_plain
from scaler.hpa.floor_ownership import revert_backoff_s

CONTEST = "contest"  # the key in `status.published`
# A write that was refused while nothing of ours stands is tried again after this.
REFUSED_PAUSE_S = 60.0


@dataclass(slots=True)
class FloorState:
    """The state of one floor.

    Attributes:
        uid: of the HPA that this is known of; empty before the first look at one.
        reverts: how often another writer has reverted it.
        backoff_until: until then it is left alone.
        manager: field manager of the last revert.
        refused_until, refusal: until then a write that was refused is not tried again, and why.
        left_alone: whether it was restored because somebody has asked to leave it alone.
        last_message: of the last Event, which is not repeated.
        acted_at: when it was last acted on.
    """

    uid: str = ""
    reverts: int = 0
    backoff_until: float = 0.0
    manager: str = "somebody"
    refused_until: float = -math.inf
    refusal: str = ""
    left_alone: bool = False
    last_message: str = ""
    acted_at: float = -math.inf

    def follow(self, uid: str) -> None:
        """Forget what is known of another HPA of the same name."""
        if self.uid not in ("", uid):
            self.reverts, self.backoff_until, self.manager = 0, 0.0, "somebody"
            self.refused_until, self.last_message = -math.inf, ""
        self.uid = uid

    def contested(self, manager: str | None, now: float) -> None:
        """Note a revert, and leave the floor alone for longer than after the one before."""
        self.reverts += 1
        self.backoff_until = now + revert_backoff_s(self.reverts)
        self.manager = manager or "somebody"


def state_from_plain(published: Mapping[str, Any] | None) -> FloorState:
    """Return the state that another leader has left; a fresh one where it left none.

    >>> state_from_plain({"contest": {"uid": "1", "reverts": 2, "until": 9.0, "by": "x"}}).reverts
    2
    """
    left: Any = (published or {}).get(CONTEST)
    try:
        return FloorState(
            str(left["uid"]), max(int(left["reverts"]), 0), float(left["until"]), str(left["by"])
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
        "until": state.backoff_until,
        "by": state.manager,
    }
    return {**(rest or to_plain(EMPTY_CHECKPOINT)), CONTEST: contest}

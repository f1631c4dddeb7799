"""Whether this replica may hand out limits: as the leader, or as who led last.

Only one replica may hand out shares of a limit, and the Lease says which. But where the API server
is away nobody can renew a Lease, and gateways must not lose their limits for that. So who led last
goes on for a while as a caretaker: it renews shares and lowers them, but raises none, and gives
none to a gateway that it has none booked for.

Why all shares together stay within the limit, though a caretaker may be cut off from the API server
and another replica lead. With the times of the election for a Lease of 15 s, and a lease's time L
of 12 s for which a share is booked:

    s              the old leader sends its last renewal              its own clock
    s + d          it stops leading: the deadline                     10 s
    s + 2 D        as a caretaker it hands out its last share         30 s
    s + 2 D + L    that share has expired                             42 s
    o              the other replica has read that renewal: o >= s    the other's clock
    o + D          it leads: the duration of the Lease                15 s
    o + 2 D        `Reign.others_until`                               30 s
    o + 2 D + L    the first of its shares may grow                   42 s

* Before s + d the old leader alone hands out shares, for s + d < o + D.
* Then neither lets a share grow until o + 2 D + L: the caretaker by its rule, the new leader as
  it learns what gateways hold. A gateway has at most what was booked for it at s + d, on whichever
  side; and what was booked sums to the limit.
* The caretaker's last share has expired by then: s + 2 D + L <= o + 2 D + L.

The clocks have to agree on how long D takes, not on the time; what they drift in that is far below
the two seconds that L is longer than a gateway counts. Where the old leader has released the Lease
it has stopped before, so `others_until` is when that was read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Tenure(StrEnum):
    """What a replica is in the election."""

    LEADS = "leads"
    CARETAKES = "caretakes"  # it led last, and nobody else is known to lead
    LAPSED = "lapsed"  # the same, but for so long that somebody else may hand out shares
    FOLLOWS = "follows"  # somebody else leads, or nobody has yet

    @property
    def hands_out(self) -> bool:
        """Whether it hands out limits."""
        return self in (Tenure.LEADS, Tenure.CARETAKES)


@dataclass(frozen=True, slots=True)
class Reign:
    """A time for which a replica holds the Lease, and what it is in it now.

    Attributes:
        tenure: what it is now.
        others_until: when a replica that led before has handed out its last share, in monotonic
            seconds; so its shares are over one lease later. Each reign has another.
    """

    tenure: Tenure
    others_until: float = -math.inf

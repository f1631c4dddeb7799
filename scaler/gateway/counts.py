"""What a gateway has counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class RequestCounts:
    """Requests by class, ``""`` for those of no named class.

    Attributes:
        admitted: that the limit had room for.
        denied: that it had none for, rejected or (in a dry run) not.
        rejected: that were in fact.
    """

    admitted: Counter[str] = field(default_factory=Counter)
    denied: Counter[str] = field(default_factory=Counter)
    rejected: int = 0

    def add(self, other: RequestCounts) -> None:
        self.admitted += other.admitted
        self.denied += other.denied
        self.rejected += other.rejected

    def reported(self) -> dict[str, object]:
        """Return the counts as a report has them."""
        names = sorted((set(self.admitted) | set(self.denied)) - {""})
        return {
            "admitted": self.admitted.total(),
            "denied": self.denied.total(),
            "classes": {
                name: {"admitted": self.admitted[name], "denied": self.denied[name]}
                for name in names
            },
        }

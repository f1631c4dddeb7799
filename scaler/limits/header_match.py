"""By which request header gateways recognise a priority class."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """A request header that makes a request one of a class.

    Attributes:
        header: its name, in lower case.
        value: that it must have exactly; None: any.
    """

    header: str
    value: str | None = None

    def __post_init__(self) -> None:
        if not self.header or self.header != self.header.lower():
            raise ValueError(f"header is {self.header!r}, but must be a name in lower case")


# Of a class of this name, if its policy does not say: deliberate load, a stress test.
STRESS, STRESS_MATCH = "stress", HeaderMatch("x-stress-test")

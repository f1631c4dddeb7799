"""What a gateway asks, what it was told, and what it is answered."""

from __future__ import annotations

from dataclasses import dataclass

from scaler.adapters.http.report import GatewayReport, LeaseTag


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """What a gateway asks.

    Attributes:
        instance: its name.
        etag: of what it holds; empty: nothing, or it does not say.
        said: its report; None: it has none.
        version: of the share that it acts on, where it says so without an ETag.
        holds_qps: the same for the share.
    """

    instance: str
    etag: str = ""
    said: GatewayReport | None = None
    version: int | None = None
    holds_qps: float = 0.0


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    """What a gateway was told last.

    Attributes:
        held: version and share, as the ETag names them.
        etag: of that.
        acting: what it acts on, rendered; body: the whole answer.
        lines: the same for HAProxy.
        state: of the counter when it was last found to stand.
        fair: the share cannot grow until that state changes.
        acked: the gateway has said that it acts on this, so on nothing older.
    """

    held: LeaseTag
    etag: str
    acting: str
    body: bytes
    lines: bytes
    state: int
    fair: bool
    acked: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """What to answer; ``changed`` unless the gateway holds just that."""

    told: LeaseAnswer
    changed: bool


def holds(asked: LeaseRequest, told: LeaseAnswer) -> bool:
    """Whether a gateway says that it acts on what it was told last."""
    return asked.etag == told.etag or asked.version == told.held.version

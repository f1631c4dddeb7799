"""Deserialization of gRPC messages."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError


def read_by(kind: Any, data: bytes) -> Any:  # noqa: ANN401 - the messages have no types
    """Return the message; None if the bytes are none, which the method reports to the caller."""
    try:
        return kind.FromString(data)
    except DecodeError:
        return None

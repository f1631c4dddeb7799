"""Logging: records as JSON, one object per line, and one record per changed decision."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from scaler.control.snapshot import Snapshot

LOGGER = logging.getLogger("scaler.decisions")


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object, with the mapping in ``extra={"fields": ...}``."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname, "logger": record.name}
        line["message"] = record.getMessage()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({**line, **getattr(record, "fields", {})}, default=str)


class DecisionLog:
    """Logs the decision of a service whenever it changes."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[object, ...]] = {}

    def write(self, snapshot: Snapshot) -> None:
        self._last = {item: key for item, key in self._last.items() if item in snapshot.services}
        for item_id, view in snapshot.services.items():
            if view.decision is None:
                key: tuple[object, ...] = (view.error,)
                fields: dict[str, object] = {"service": item_id, "error": view.error}
            else:
                why = view.decision.why()
                key = (view.floor, why["replicas"], why["plan"], why["demand"], why["limit"])
                mode = view.policy.mode.value
                fields = {"service": item_id, "mode": mode, "floor": view.floor, **why}
            if self._last.get(item_id) != key:
                self._last[item_id] = key
                text = " ".join(f"{name}={value}" for name, value in fields.items())
                LOGGER.info("%s", text, extra={"fields": fields})


def set_log_format(form: str) -> None:
    """Log as "text" or as "json"; of level INFO and above, unless less or more was asked for."""
    root = logging.getLogger()
    if root.level == logging.WARNING:
        root.setLevel(logging.INFO)
    if form == "json":
        for handler in root.handlers:
            handler.setFormatter(JsonFormatter())

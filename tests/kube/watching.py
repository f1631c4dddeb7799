"""A watch: what happened since a version, what happens, and bookmarks."""

from __future__ import annotations

import time


def events(server, asked):
    """Yield the events of a watch until its time is over; None where the line is to be cut."""
    store = server.store
    until = time.monotonic() + float(asked.query.get("timeoutSeconds", 60))
    bookmarks = asked.query.get("allowWatchBookmarks") == "true"
    last = int(asked.query.get("resourceVersion") or 0)
    if last == 0:
        last, found = store.listed(asked.kind, asked.namespace)
        yield from ({"type": "ADDED", "object": one} for one in found)
    marked = time.monotonic()
    while True:
        with store.locked():
            news = [one for one in store.history if one.version > last]
            if not news:
                store.changed.wait(0.05)
            last = news[-1].version if news else last
        if server.faults.partition:
            yield None
            return
        for one in news:
            if one.kind.plural == asked.kind.plural and asked.namespace in (None, one.namespace):
                yield {"type": one.type, "object": one.found}
        over = time.monotonic() >= until or server.stopping.is_set()
        if bookmarks and (over or time.monotonic() - marked > server.bookmark_s):
            marked = time.monotonic()
            meta = {"resourceVersion": str(last), "creationTimestamp": None}
            yield {
                "type": "BOOKMARK",
                "object": {
                    "kind": asked.kind.kind,
                    "apiVersion": asked.kind.api_version,
                    "metadata": meta,
                },
            }
        if over:
            return

"""A watch of the API server in memory: past events since a version, new events, bookmarks."""

from __future__ import annotations

import time


def events(server, call):
    """Yield the events of a watch until its time is over; None closes the connection."""
    store = server.store
    until = time.monotonic() + float(call.query.get("timeoutSeconds", 60))
    bookmarks = call.query.get("allowWatchBookmarks") == "true"
    last = int(call.query.get("resourceVersion") or 0)
    if last == 0:
        last, found = store.listed(call.kind, call.namespace)
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
            if one.kind.plural == call.kind.plural and call.namespace in (None, one.namespace):
                yield {"type": one.type, "object": one.found}
        over = time.monotonic() >= until or server.stopping.is_set()
        if bookmarks and (over or time.monotonic() - marked > server.bookmark_s):
            marked = time.monotonic()
            meta = {"resourceVersion": str(last), "creationTimestamp": None}
            yield {
                "type": "BOOKMARK",
                "object": {
                    "kind": call.kind.kind,
                    "apiVersion": call.kind.api_version,
                    "metadata": meta,
                },
            }
        if over:
            return

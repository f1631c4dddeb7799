"""Gateways over real HTTP for as long as a block lasts: one asks and waits, others report."""

from __future__ import annotations

import json
import random
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def gateways(url: Callable[[], str], services: tuple[str, ...]) -> Iterator[list[int]]:
    """Run gateways of ``services`` against whatever ``url`` says; yield the statuses they got."""
    stop, statuses = threading.Event(), list[int]()
    threads = [
        threading.Thread(target=run, args=(url, service, statuses, stop))
        for service in services
        for run in (_waiting, _reporting)
    ]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _waiting(
    url: Callable[[], str], service: str, statuses: list[int], stop: threading.Event
) -> None:
    etag = ""
    while not stop.wait(0.05):
        asked = urllib.request.Request(
            f"{url()}/v1/limits/{service}?instance=gw-waits&wait=3",
            headers={"If-None-Match": etag} if etag else {},
        )
        etag = _asked(asked, statuses) or etag


def _reporting(
    url: Callable[[], str], service: str, statuses: list[int], stop: threading.Event
) -> None:
    rng = random.Random(service)
    held: dict[str, object] = {}
    while not stop.wait(0.3):
        body = {
            "instance": "gw-reports",
            "interval_s": 0.3,
            "offered_rps": rng.uniform(50.0, 500.0),
            "classes": {"pay": {"admitted": rng.uniform(0.0, 40.0)}},
            **held,
        }
        asked = urllib.request.Request(
            f"{url()}/v1/limits/{service}/reports",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        told = _asked(asked, statuses, body=True)
        if told:
            lease = json.loads(told)
            held = {name: lease[name] for name in ("version", "epoch")}
            held["holds_rps"] = lease["share"]["rps"]


def _asked(asked: urllib.request.Request, statuses: list[int], *, body: bool = False) -> str:
    try:
        with _OPENER.open(asked, timeout=10) as answer:
            statuses.append(answer.status)
            return answer.read().decode() if body else answer.headers.get("ETag", "")
    except urllib.error.HTTPError as refused:
        statuses.append(refused.code)
        refused.close()
    except OSError:  # between two leaders nobody answers
        statuses.append(0)
    return ""

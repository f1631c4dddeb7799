"""What tests of nginx alone need beside the conformance suite's sites."""

from __future__ import annotations

import json
import re

import httpx

from tests.waiting import PATIENCE_S


def text_of(url: str, timeout: float = PATIENCE_S) -> str:
    """Return what is said there, without TLS: to read its certificates would take far longer."""
    return httpx.get(url, trust_env=False, verify=False, timeout=timeout).text


def status(url: str) -> dict:
    """Return what nginx says of prod/shop."""
    return json.loads(text_of(f"{url}/tidegate/status"))["prod/shop"]


def samples(url: str) -> dict[str, float]:
    """Return the metrics by name with labels."""
    found = re.findall(
        r"^(\w+\{[^}]*\}) (\S+)$", text_of(f"{url}/tidegate/metrics"), flags=re.MULTILINE
    )
    return {name: float(value) for name, value in found}


def workers_of(log: str) -> int:
    """Return how many workers have been started."""
    return len(re.findall(r"start worker process \d+", log))

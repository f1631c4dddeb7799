"""What tests of nginx alone need beside the conformance suite's sites."""

from __future__ import annotations

import json
import re

import httpx


def status(url: str) -> dict:
    """Return what nginx says of prod/shop."""
    return json.loads(httpx.get(f"{url}/tidegate/status", trust_env=False).text)["prod/shop"]


def samples(url: str) -> dict[str, float]:
    """Return the metrics by name with labels."""
    text = httpx.get(f"{url}/tidegate/metrics", trust_env=False).text
    return {
        name: float(value)
        for name, value in re.findall(r"^(\w+\{[^}]*\}) (\S+)$", text, flags=re.MULTILINE)
    }


def workers_of(log: str) -> int:
    """Return how many workers have been started."""
    return len(re.findall(r"start worker process \d+", log))

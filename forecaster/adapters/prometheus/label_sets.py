"""Items named by the labels of a Prometheus series: the same name wherever the series comes from.

Used by `fetch`, and by forecaster.adapters.tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

LABEL_SET = re.compile(r'([a-zA-Z_:][\w:]*)?\s*\{((?:\s*[a-zA-Z_]\w*\s*=\s*"[^"]*"\s*,?)*)\}')
LABEL = re.compile(r'([a-zA-Z_]\w*)\s*=\s*"([^"]*)"')


def item_named_by(labels: Mapping[str, str]) -> str:
    """Return the values of the labels, by the order of their names, joined by `/`.

    As `forecaster fetch` names items. Without labels it is the metric's name.
    """
    named = sorted(name for name in labels if name != "__name__")
    return "/".join(labels[name] for name in named) or labels.get("__name__", "total")


def item_of_labels(name: str) -> str:
    """Return the item of a series that is named by its labels, as Grafana does; others as they are.

    >>> item_of_labels('{namespace="shop", service="api"}'), item_of_labels("shop/api")
    ('shop/api', 'shop/api')
    """
    match = LABEL_SET.fullmatch(name.strip())
    if match is None:
        return name
    labels = dict(LABEL.findall(match[2]))
    return item_named_by(labels | ({"__name__": match[1]} if match[1] else {}))

"""The metadata of a KEDA trigger: string values by key, parsed and checked.

A typo must not become a default: a key that is neither tidegate's nor KEDA's own is refused by
name, and so is a key that does not apply to the chosen metric.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from scaler.errors import ScalerError

# The HPA's default, which `behavior.scaleUp.tolerance` overrides.
DEFAULT_TOLERANCE = 0.1
SHOWN_CHARACTERS = 100
# Keys of the connection, which only KEDA reads; KEDA passes all of the metadata on.
KEDA_KEYS = frozenset(
    {
        "scalerAddress", "enableTLS", "unsafeSsl",
        "caCert", "tlsCertFile", "tlsClientCert", "tlsClientKey",
    }
)  # fmt: skip
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,12})?")
_SERVICE = re.compile(r"[^\s/]+/[^\s/]+")


class TriggerMetric(StrEnum):
    """What the trigger scales on."""

    REPLICAS = "replicas"  # the replicas of the plan
    QPS = "qps"  # the demand to be ready for


KEYS = {
    "service": frozenset(TriggerMetric),
    "metric": frozenset(TriggerMetric),
    "tolerance": frozenset({TriggerMetric.REPLICAS}),
    "targetQps": frozenset({TriggerMetric.QPS}),
    "activationQps": frozenset(TriggerMetric),
}


class TriggerError(ScalerError):
    """A trigger's metadata is wrong; the message has the key, the value found and the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One trigger of a ScaledObject.

    Attributes:
        service: ``"namespace/name"`` of the policy.
        tolerance: of the HPA on a scale-up, see `metric.shown_replicas`.
        target_qps: requests per second per replica; None derives it from the policy's capacity.
        activation_qps: demand up to which the service may be scaled to 0; None: never.
    """

    service: str
    metric: TriggerMetric = TriggerMetric.REPLICAS
    tolerance: float = DEFAULT_TOLERANCE
    target_qps: float | None = None
    activation_qps: float | None = None

    @property
    def metric_name(self) -> str:
        """Name of the metric in the HPA, without the index that KEDA puts before it.

        >>> Trigger(service="prod/shop").metric_name
        'tidegate-replicas'
        """
        return f"tidegate-{self.metric}"


def read_trigger(namespace: str, name: str, metadata: Mapping[str, str]) -> Trigger:
    """Return the trigger of the ScaledObject ``namespace/name``.

    Raises:
        TriggerError: a key or a value breaks a rule.

    >>> read_trigger("prod", "shop", {"scalerAddress": "tidegate:9090", "metric": "qps"}).metric
    <TriggerMetric.QPS: 'qps'>
    """
    metric = _metric(metadata.get("metric", TriggerMetric.REPLICAS))
    for key, value in metadata.items():
        if key not in KEDA_KEYS:
            _check_key(key, value, metric)
    service = metadata.get("service", f"{namespace}/{name}")
    if not _SERVICE.fullmatch(service):
        raise TriggerError(f"service is {_shown(service)}, but must be namespace/name of a policy")
    tolerance = _number(metadata, "tolerance", below=1.0)
    return Trigger(
        service=service,
        metric=metric,
        tolerance=DEFAULT_TOLERANCE if tolerance is None else tolerance,
        target_qps=_number(metadata, "targetQps", least=0.001),
        activation_qps=_number(metadata, "activationQps"),
    )


def _metric(value: str) -> TriggerMetric:
    if value not in frozenset(TriggerMetric):
        raise TriggerError(f"metric is {_shown(value)}, but must be {' or '.join(TriggerMetric)}")
    return TriggerMetric(value)


def _check_key(key: str, value: str, metric: TriggerMetric) -> None:
    if key not in KEYS:
        near = get_close_matches(key[:SHOWN_CHARACTERS], KEYS, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; there is {', '.join(KEYS)}"
        raise TriggerError(f"{_shown(key)} is {_shown(value)}, but there is no such key{hint}")
    if metric not in KEYS[key]:
        (other,) = KEYS[key]
        raise TriggerError(
            f"{key} is {_shown(value)}, but is only for metric {other}, and metric is {metric}"
        )


def _number(
    metadata: Mapping[str, str], key: str, *, least: float = 0.0, below: float = 1e9
) -> float | None:
    if key not in metadata:
        return None
    value = metadata[key]
    number = float(value) if _NUMBER.fullmatch(value) else None
    if number is None or not least <= number < below:
        raise TriggerError(
            f"{key} is {_shown(value)}, but must be a decimal number, at least {least:g} and "
            f"below {below:g}"
        )
    return number


def _shown(value: str) -> str:
    return repr(value if len(value) <= SHOWN_CHARACTERS else value[:SHOWN_CHARACTERS] + "...")

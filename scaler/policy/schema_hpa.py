"""The `hpa` section of a policy file: the `spec` of an HPA's manifest, of any version.

A field that a replay does not model is refused by name, not ignored; of several metrics, those that
it does not model are left out, and a warning names them. Defaults are those of the API
server and the controller. Source: kubernetes.io, "HorizontalPodAutoscaler v2" API reference. What
is missing in `behavior` is filled in, but an absent `behavior` stays absent: kubernetes/kubernetes,
`pkg/apis/autoscaling/v2/defaults.go`, `SetDefaults_HorizontalPodAutoscalerBehavior`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from scaler.hpa.rules import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    HPASpec,
    MetricGoal,
    MetricKind,
    PolicyKind,
    ScalingPolicy,
    ScalingRules,
    Select,
)
from scaler.policy.fields import AtLeastOne, Quantity, Section, Text, Tolerance, one_of
from scaler.policy.hpa_manifests import UNMODELLED, current_spec, modelled_metrics

_DEFAULT_CPU_PERCENT = 80  # where a manifest names no metric
_VALUE_KEYS = {
    "Utilization": "average_utilization",
    "AverageValue": "average_value",
    "Value": "value",
}
_KINDS = {
    ("Resource", "Utilization"): MetricKind.UTILIZATION,
    ("Pods", "AverageValue"): MetricKind.PODS,
    ("External", "AverageValue"): MetricKind.EXTERNAL_AVERAGE,
    ("External", "Value"): MetricKind.EXTERNAL_VALUE,
}
_TARGETS = {
    "Resource": ("Utilization",),
    "Pods": ("AverageValue",),
    "External": ("AverageValue", "Value"),
}


_VALIDATE_IF_ABSENT = Field(validate_default=True)


def _modelled(kind: str) -> str:
    if kind not in _TARGETS:
        raise ValueError("must be Resource, Pods or External; a replay models no other metric")
    return kind


def _only_where(value: object, *, given: bool, kind: str) -> None:
    if given and value is None:
        raise ValueError(f"is missing, but type is {kind}; add it")
    if not given and value is not None:
        raise ValueError(f"must not be given where type is {kind}; remove it")


class MetricTarget(Section):
    type: Literal["Utilization", "AverageValue", "Value"]
    average_utilization: Annotated[AtLeastOne | None, _VALIDATE_IF_ABSENT] = None
    average_value: Annotated[Quantity | None, _VALIDATE_IF_ABSENT] = None
    value: Annotated[Quantity | None, _VALIDATE_IF_ABSENT] = None

    @field_validator("average_utilization", "average_value", "value")
    @classmethod
    def _belongs(cls, value: float | None, info: ValidationInfo) -> float | None:
        kind = info.data.get("type")
        if kind is not None:
            _only_where(value, given=info.field_name == _VALUE_KEYS[kind], kind=kind)
        return value

    @property
    def number(self) -> float:
        found = getattr(self, _VALUE_KEYS[self.type])
        return found / 100 if self.type == "Utilization" else float(found)


def _no_memory(name: str) -> str:
    if name != "cpu":
        raise ValueError("must be cpu; a replay models no other resource")
    return name


class ResourceMetric(Section):
    name: Annotated[str, AfterValidator(_no_memory)]
    target: MetricTarget


class MetricIdentifier(Section):
    name: Text
    selector: dict[str, Any] | None = None


class NamedMetric(Section):
    """A pods or external metric; a replay takes it to be requests per second."""

    metric: MetricIdentifier
    target: MetricTarget


class MetricSpec(Section):
    type: Annotated[str, AfterValidator(_modelled), one_of(*_TARGETS, *UNMODELLED)]
    # Of no type that is modelled; declared so that they are not reported as unknown keys as well.
    object: dict[str, Any] | None = None
    container_resource: dict[str, Any] | None = None
    resource: Annotated[ResourceMetric | None, _VALIDATE_IF_ABSENT] = None
    pods: Annotated[NamedMetric | None, _VALIDATE_IF_ABSENT] = None
    external: Annotated[NamedMetric | None, _VALIDATE_IF_ABSENT] = None

    @field_validator("object", "container_resource")
    @classmethod
    def _not_modelled(
        cls, value: dict[str, Any] | None, info: ValidationInfo
    ) -> dict[str, Any] | None:
        if "type" in info.data:
            _only_where(value, given=False, kind=info.data["type"])
        return value

    @field_validator("resource", "pods", "external")
    @classmethod
    def _right_target(
        cls, value: ResourceMetric | NamedMetric | None, info: ValidationInfo
    ) -> ResourceMetric | NamedMetric | None:
        kind = info.data.get("type")
        if kind is None:
            return value
        _only_where(value, given=info.field_name == kind.lower(), kind=kind)
        if value is not None and value.target.type not in _TARGETS[kind]:
            allowed = " or ".join(_TARGETS[kind])
            raise ValueError(f"must have a target of type {allowed}; a replay models no other")
        return value

    @property
    def source(self) -> ResourceMetric | NamedMetric:
        found = self.resource or self.pods or self.external
        assert found is not None  # ensured by the validators
        return found


class BehaviorPolicy(Section):
    type: Literal["Pods", "Percent"]
    value: AtLeastOne
    period_seconds: Annotated[int, Field(ge=1, le=1800)]


class ScalingBehavior(Section):
    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] | None = None
    select_policy: Literal["Max", "Min", "Disabled"] = "Max"
    policies: Annotated[list[BehaviorPolicy], Field(min_length=1)] | None = None
    tolerance: Tolerance | None = None

    def to_rules(self, defaults: ScalingRules) -> ScalingRules:
        rules = replace(defaults, select=Select(self.select_policy))
        if self.policies is not None:
            policies = tuple(
                ScalingPolicy(PolicyKind(p.type), p.value, float(p.period_seconds))
                for p in self.policies
            )
            rules = replace(rules, policies=policies)
        if self.stabilization_window_seconds is not None:
            rules = replace(rules, stabilization_s=float(self.stabilization_window_seconds))
        if self.tolerance is not None:
            rules = replace(rules, tolerance=self.tolerance)
        return rules


class Behavior(Section):
    scale_up: ScalingBehavior = ScalingBehavior()
    scale_down: ScalingBehavior = ScalingBehavior()

    def to_rules(self) -> tuple[ScalingRules, ScalingRules]:
        return (
            self.scale_up.to_rules(DEFAULT_SCALE_UP),
            self.scale_down.to_rules(DEFAULT_SCALE_DOWN),
        )


class ScaleTargetRef(Section):
    api_version: str | None = None
    kind: str
    name: Text


class HPASection(Section):
    """The content of `spec:` in the manifest."""

    scale_target_ref: ScaleTargetRef | None = None
    min_replicas: Annotated[int, Field(ge=0)] = 1
    max_replicas: AtLeastOne
    metrics: list[MetricSpec] = Field(default=[])
    behavior: Behavior | None = None
    _left_out: tuple[str, ...] = PrivateAttr(())  # metrics that a replay does not model

    @model_validator(mode="wrap")
    @classmethod
    def _of_any_version(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        if "spec" in data:
            raise ValueError("must be the content of `spec:` in the manifest; leave out the rest")
        spec = current_spec(data)
        metrics = spec.get("metrics")
        if not isinstance(metrics, list) or len(metrics) < 2:
            return handler(spec)
        kept, left_out = modelled_metrics(metrics)
        try:
            section = handler({**spec, "metrics": kept})
        except ValidationError:
            return handler(spec)  # so that its faults have the places of what is written
        section._left_out = tuple(left_out)
        return section

    @field_validator("max_replicas")
    @classmethod
    def _bounds(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("min_replicas", 1):
            raise ValueError(
                f"must be at least minReplicas, which is {info.data['min_replicas']}; swap the two?"
            )
        return value

    def warnings(self) -> Iterator[str]:
        """Yield what a replay leaves out of several metrics."""
        if self._left_out:
            yield f"a replay models no {', '.join(self._left_out)}; it follows the other metrics"

    def to_spec(self, capacity_qps: float | None = None) -> HPASpec:
        """Return the autoscaler; of several metrics the first is the one that asks for most.

        Args:
            capacity_qps: of one replica, to compare a utilization with rates.
        """
        goals = [
            MetricGoal(_KINDS[metric.type, metric.source.target.type], metric.source.target.number)
            for metric in sorted(self.metrics, key=lambda one: _per_replica(one, capacity_qps))
        ] or [MetricGoal(MetricKind.UTILIZATION, _DEFAULT_CPU_PERCENT / 100)]
        first, *more = goals
        up, down = self.behavior.to_rules() if self.behavior else (None, None)
        return HPASpec(
            self.min_replicas, self.max_replicas, first.metric, first.target, up, down,
            more=tuple(more),
        )  # fmt: skip


def _per_replica(metric: MetricSpec, capacity_qps: float | None) -> float:
    """Return the requests per second and replica at the target of a metric.

    A value as a whole has none, and a utilization none without the capacity: infinity.
    """
    target = metric.source.target
    if target.type == "Value":
        return math.inf
    unit = capacity_qps or math.inf if target.type == "Utilization" else 1.0
    return target.number * unit

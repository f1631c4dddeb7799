"""Where the modules of version 0.1 are now: their old paths work for one release, with a warning.

    from forecaster.series import History    # DeprecationWarning: ... is now forecaster.data.series

A module that is asked for by an old path is a stand-in: it holds no code, and looks each name up in
the module that has it now. Covered is what a notebook or a service in Python imports: not adapters
and commands, nor what runs inside `scaler run` or a replay. With version 0.3 this file goes, and
with it what `forecaster/__init__.py` and `scaler/__init__.py` say of it.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

MOVED = {
    "forecaster.anchors": "forecaster.features.anchors",
    "forecaster.baselines": "forecaster.models.naive",
    "forecaster.budget": "forecaster.models.lstm_budget",
    "forecaster.bundle": "forecaster.models.artifact",
    "forecaster.calibration": "forecaster.models.conformal",
    "forecaster.config": "forecaster.models.config",
    "forecaster.dataset": "forecaster.evaluation.splits",
    "forecaster.ensemble": "forecaster.models.lstm_ensemble",
    "forecaster.evaluation": "forecaster.evaluation.backtest",
    "forecaster.fitting": "forecaster.evaluation.selection",
    "forecaster.metrics": "forecaster.evaluation.metrics",
    "forecaster.model": "forecaster.models.lstm",
    "forecaster.predict": "forecaster.adapters.registry.loading",
    "forecaster.quality": "forecaster.data.quality",
    "forecaster.quality.checks": "forecaster.data.quality.checks",
    "forecaster.quality.grid": "forecaster.data.quality.grid",
    "forecaster.quality.inspection": "forecaster.data.quality.inspection",
    "forecaster.quality.masks": "forecaster.data.quality.masks",
    "forecaster.quality.sheet": "forecaster.data.quality.finding_log",
    "forecaster.quality.values": "forecaster.data.quality.values",
    "forecaster.rolling": "forecaster.evaluation.rolling",
    "forecaster.series": "forecaster.data.series",
    "forecaster.serving": "forecaster.models.forecaster",
    "forecaster.smoothing": "forecaster.features.smoothing",
    "forecaster.synthetic": "forecaster.data.synthetic",
    "forecaster.tabular": "forecaster.models.tabular",
    "forecaster.training": "forecaster.models.lstm_training",
    "forecaster.windows": "forecaster.features.windows",
    "scaler.capacity": "scaler.decision.capacity",
    "scaler.classes": "scaler.limits.priority_classes",
    "scaler.client": "scaler.gateway",
    "scaler.client.answers": "scaler.gateway.responses",
    "scaler.client.buckets": "scaler.gateway.buckets",
    "scaler.client.gates": "scaler.gateway.class_buckets",
    "scaler.client.limiter": "scaler.gateway.lease_limiter",
    "scaler.client.middleware": "scaler.gateway.middleware",
    "scaler.client.parts": "scaler.gateway.class_parts",
    "scaler.client.poller": "scaler.gateway.poller",
    "scaler.client.tally": "scaler.gateway.counts",
    "scaler.client.terms": "scaler.gateway.lease_document",
    "scaler.config": "scaler.policy.files",
    "scaler.decide": "scaler.decision.decide",
    "scaler.demand": "scaler.decision.demand",
    "scaler.descriptors": "scaler.limits.descriptors",
    "scaler.fairness": "scaler.limits.max_min",
    "scaler.gcra": "scaler.limits.gcra",
    "scaler.lease": "scaler.limits.lease",
    "scaler.limiter": "scaler.decision.limit",
    "scaler.planner": "scaler.decision.replicas",
    "scaler.quantiles": "scaler.decision.quantiles",
    "scaler.schedule": "scaler.limits.schedule",
    "scaler.service_policy": "scaler.policy.policy",
    "scaler.shares": "scaler.limits.assignment",
    "scaler.simulation.contest": "scaler.simulation.contest",
    "scaler.simulation.hpa": "scaler.hpa.controller",
    "scaler.simulation.hpa_calculator": "scaler.hpa.calculator",
    "scaler.simulation.hpa_rules": "scaler.hpa.rules",
    "scaler.simulation.outcome": "scaler.simulation.outcome",
    "scaler.simulation.settings": "scaler.policy.replay_settings",
    "scaler.simulation.staging": "scaler.simulation.preparation",
    "scaler.trust": "scaler.decision.trust",
}
# Of each old path, names that are others now; one with a module before it went there alone.
RENAMED: Mapping[str, Mapping[str, str]] = {
    "forecaster": {"fit_forecaster": "forecaster:train"},
    "forecaster.anchors": {
        "DAY_PROFILES": "forecaster.features.timing:DAY_PROFILES",
        "Indices": "forecaster.features.track:Indices",
        "LEAST_QPS": "MIN_QPS",
        "Lines": "forecaster.features.track:Track",
        "SHIFTED": "forecaster.features.timing:SHIFTED",
        "WEEK_PROFILE": "forecaster.features.timing:WEEK_PROFILE",
        "follow": "build_track",
    },
    "forecaster.budget": {"FEWEST_EPOCHS": "MIN_EPOCHS", "planned": "within_budget"},
    "forecaster.dataset": {
        "CALIBRATION_MINUTES": "forecaster.evaluation.origins:ORIGIN_MINUTES",
        "LEAST_WINDOWS": "MIN_WINDOWS",
        "cut_cases": "cases_at",
        "off_beat": "off_the_hour",
        "track_of": "item_track",
    },
    "forecaster.ensemble": {
        "BATCH": "forecaster.models.lstm_training:BATCH",
        "network_deviation": "forecaster.models.lstm_training:network_deviation",
    },
    "forecaster.evaluation": {
        "NEGLIGIBLE_QPS": "forecaster.evaluation.choice:NEGLIGIBLE_QPS",
        "Score": "forecaster.evaluation.scores:Score",
    },
    "forecaster.fitting": {
        "CONFIDENCE": "forecaster.evaluation.choice:CONFIDENCE",
        "LARGEST_LOG": "forecaster.evaluation.choice:LARGEST_LOG",
        "balanced": "balanced_sample",
        "fit_forecaster": "train",
    },
    "forecaster.metrics": {"peak_moments": "is_peak"},
    "forecaster.model": {"LEAST_WEIGHT": "MIN_WEIGHT"},
    "forecaster.predict": {
        "rolling_baseline": "forecaster.evaluation.rolling:rolling_baseline",
        "rolling_forecast": "forecaster.evaluation.rolling:rolling_forecast",
    },
    "forecaster.quality.checks": {
        "MOST_SLOTS_PER_SAMPLE": "MAX_SLOTS_PER_SAMPLE",
        "judge": "check_values",
    },
    "forecaster.quality.grid": {"Grid": "SampleGrid"},
    "forecaster.quality.sheet": {"Sheet": "FindingLog"},
    "forecaster.serving": {
        "CANDIDATES": "forecaster.models.candidates:CANDIDATES",
        "Candidates": "forecaster.models.candidates:Candidates",
        "Service": "ItemModel",
    },
    "forecaster.smoothing": {"LEAST_WEIGHT": "MIN_WEIGHT"},
    "forecaster.synthetic": {"Event": "TrafficEvent", "Traffic": "GeneratedTraffic"},
    "forecaster.windows": {"cut": "cut_windows"},
    "scaler.capacity": {"lowered": "lowered_capacity"},
    "scaler.classes": {"Split": "ClassSplit"},
    "scaler.client": {"TidegateLimit": "scaler:TidegateLimit"},
    "scaler.client.buckets": {"LEAST_QPS": "MIN_QPS"},
    "scaler.client.gates": {"Gates": "ClassBuckets", "Passage": "ClassAdmission"},
    "scaler.client.limiter": {
        "LEAST_INTERVAL_S": "scaler.gateway.counts:MIN_INTERVAL_S",
        "MOST_INTERVAL_S": "scaler.gateway.counts:MAX_INTERVAL_S",
        "NAMELESS": "NO_CLASS",
        "Snapshot": "LimiterSnapshot",
    },
    "scaler.client.middleware": {"MOST_NAME": "MAX_NAME"},
    "scaler.client.parts": {"Part": "ClassPart", "ROUNDED": "ROUNDING_QPS", "parts_at": "divide"},
    "scaler.client.poller": {
        "ANSWER_WITHIN_S": "scaler.gateway.http_endpoint:RESPONSE_TIMEOUT_S",
        "LAST_BACKOFF_S": "MAX_BACKOFF_S",
        "LONGEST_RETRY_AFTER_S": "MAX_RETRY_AFTER_S",
        "LONGEST_WAIT_S": "MAX_WAIT_S",
        "REFRESH_S": "DEFAULT_REFRESH_S",
        "SETTLING_S": "SETTLE_S",
    },
    "scaler.client.tally": {"Tally": "RequestCounts"},
    "scaler.client.terms": {
        "MOST_BYTES": "MAX_BYTES",
        "MOST_CLASSES": "MAX_CLASSES",
        "Terms": "LeaseDocument",
        "terms_of": "read_lease",
    },
    "scaler.decide": {
        "Policy": "DecisionSettings",
        "Sight": "Observation",
        "State": "DecisionState",
        "first_state": "initial_state",
    },
    "scaler.demand": {
        "ARRIVED": "ARRIVED_SHARE",
        "Ahead": "LeadDemand",
        "Event": "AnnouncedEvent",
        "NOTHING_AHEAD": "NO_FORECAST",
        "usual_before": "updated_event_baselines",
    },
    "scaler.descriptors": {
        "Call": "DescriptorCall",
        "LONGEST_S": "MAX_RESET_S",
        "MOST_DESCRIPTORS": "MAX_DESCRIPTORS",
        "MOST_HITS": "MAX_HITS",
        "Question": "DescriptorQuestion",
        "Reply": "DescriptorReply",
        "Status": "DescriptorStatus",
        "as_limit": "requests_per_unit",
        "fault_of": "call_error",
        "replied": "reply_of",
    },
    "scaler.lease": {"Stage": "LeaseStage", "Then": "AfterSafe", "part_of": "lease_for_share"},
    "scaler.planner": {"Recent": "WantedHistory"},
    "scaler.quantiles": {"Maximum": "PeakDistribution", "maximum_of": "peak_distribution"},
    "scaler.service_policy": {"ServicePolicy": "Policy"},
    "scaler.shares": {"Handed": "Grant", "Report": "DemandReport"},
    "scaler.simulation.contest": {
        "Job": "ContestJob",
        "Point": "FrontierPoint",
        "Setting": "ContestSetting",
    },
    "scaler.simulation.outcome": {"Outcome": "ReplayOutcome"},
    "scaler.simulation.staging": {"Part": "ReplayPart", "staged": "prepared"},
    "scaler.trust": {"Outcome": "ForecastOutcome", "judged": "updated_trust"},
}
# Old paths at which there is a module still, or again: only what it has not is looked up.
STANDING = frozenset(
    {"forecaster.evaluation", "scaler.simulation.contest", "scaler.simulation.outcome"}
)
PACKAGES = frozenset({"forecaster.quality", "scaler.client"})
GONE_WITH = "0.3"


def old_names(old: str, otherwise: Callable[[str], object]) -> Callable[[str], object]:
    """Return a ``__getattr__`` that knows the former names of ``old``, and asks ``otherwise``."""

    def __getattr__(name: str) -> object:  # noqa: N807 - it becomes a module's
        place = _place(old, name)
        return _found(old, name, place) if place is not None else otherwise(name)

    return __getattr__


def install() -> None:
    """Have old paths found by ``import``; done twice, it does nothing."""
    if not any(isinstance(one, _OldPaths) for one in sys.meta_path):
        sys.meta_path.insert(0, _OldPaths())


class _OldPaths(MetaPathFinder, Loader):
    """Finds a stand-in for a module that has moved, and former names for one that stands."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in STANDING:
            spec = PathFinder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Standing(spec.loader)
            return spec
        if name in MOVED:
            return ModuleSpec(name, self, is_package=name in PACKAGES)
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Make a stand-in of an empty module."""
        old = module.__name__
        _warn(old, MOVED[old], level=3)
        _forward(module)


class _Standing(Loader):
    """Loads a module by its own loader, and adds its former names."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the loader has
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _forward(module)


def _forward(module: ModuleType) -> None:
    old = module.__name__

    def unknown(name: str) -> object:
        raise AttributeError(f"module {old!r} has no attribute {name!r}")

    vars(module)["__getattr__"] = old_names(old, vars(module).get("__getattr__", unknown))


def _place(old: str, name: str) -> tuple[str, str] | None:
    """Return the module in which a former name is now, and its name there; None: it is unknown."""
    if name.startswith("__") or f"{old}.{name}" == MOVED.get(old):
        return None  # of the import system, or a module within the package
    if name in RENAMED.get(old, {}):
        module, _, attribute = RENAMED[old][name].rpartition(":")
        return module or MOVED[old], attribute
    return (MOVED[old], name) if MOVED.get(old, old) != old else None


def _found(old: str, name: str, place: tuple[str, str]) -> object:
    module, attribute = place
    found = importlib.import_module(module)
    if not hasattr(found, attribute):
        raise AttributeError(f"module {old!r} has no attribute {name!r}, and {module!r} neither")
    if old not in MOVED or old in STANDING or place != (MOVED[old], name):
        _warn(f"{old}.{name}", f"{module}.{attribute}", level=4)
    return getattr(found, attribute)


def _warn(old: str, new: str, level: int) -> None:
    said = f"{old} is now {new}; the old path goes with version {GONE_WITH}"
    warnings.warn(said, DeprecationWarning, stacklevel=level)

"""What gateways reported, as the real endpoint reads it."""

from __future__ import annotations

from collections.abc import Sequence

from scaler.adapters.http.schemas import ReportBody
from tests.conformance.scripted import ScriptedEndpoint


def reported(endpoint: ScriptedEndpoint, since: int = 0) -> Sequence[ReportBody]:
    """Return the reports after the first ``since``; one that is not valid is an error."""
    return [ReportBody.model_validate(body) for body in endpoint.reports[since:]]

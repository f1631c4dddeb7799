"""The endpoint keeps its OpenAPI description, for requests that it allows or forbids."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from scaler.adapters.http.app import create_app
from scaler.adapters.http.ratelimit_json import add_rate_limit
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.limits.descriptors import reply_of

APP = create_app(SnapshotHolder(), ApiSettings())
add_rate_limit(APP, lambda _: reply_of([]))
DESCRIPTION = APP.openapi()
# A stream does not end.
OPERATIONS = {
    operation.ok().label: operation.ok()
    for operation in schemathesis.openapi.from_dict(DESCRIPTION).get_all_operations()
    if "/v1/stream" not in operation.ok().label
}


@pytest.mark.parametrize(
    ("label", "allowed"),
    [
        *(pytest.param(label, True, id=f"{label}, allowed") for label in OPERATIONS),
        # Other routes have no invalid requests.
        *(
            pytest.param(x, False, id=f"{x}, forbidden")
            for x in OPERATIONS
            if "limits" in x or "json" in x
        ),
    ],
)
def test_every_response_is_as_described_and_none_is_a_server_error(endpoint, label, allowed):
    modes = schemathesis.GenerationMode
    mode = modes.POSITIVE if allowed else modes.NEGATIVE
    checks = schemathesis.specs.openapi.checks
    kept = [
        schemathesis.checks.not_a_server_error,
        checks.status_code_conformance,
        checks.response_schema_conformance,
        checks.content_type_conformance,
    ]

    @settings(max_examples=50, suppress_health_check=list(HealthCheck))
    @given(OPERATIONS[label].as_strategy(generation_mode=mode))
    def answers(case):
        case.call_and_validate(base_url=endpoint.server.url, checks=kept)

    answers()

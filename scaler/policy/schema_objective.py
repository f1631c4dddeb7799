"""The `objective` section of a policy file: what settings are chosen by."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, ValidationInfo, WithJsonSchema, field_validator

from scaler.decision.objective import Objective
from scaler.policy.fields import Above, Section
from scaler.policy.policy import Slo

_PER_CENT = r"(0|[1-9][0-9]?)(\.[0-9]{1,6})?%"
_ABOVE_ZERO = "[1-9]"


def per_cent(value: object) -> float:
    """Return the share that a text stands for.

    >>> per_cent("0.1%")
    0.001
    """
    rule = "must be per cent of all requests such as 0.1%, above 0% and below 100%"
    if isinstance(value, str) and re.fullmatch(_PER_CENT, value) and re.search("[1-9]", value):
        return float(f"{value[:-1]}e-2")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1:
        rule += f"; write {100 * value:g}%"
    raise ValueError(rule)


PerCent = Annotated[
    float,
    BeforeValidator(per_cent),
    WithJsonSchema(
        {"type": "string", "pattern": f"^{_PER_CENT}$", "allOf": [{"pattern": _ABOVE_ZERO}]}
    ),
]


class PriceSection(Section):
    failed_request: Above
    """How many served requests one failed request costs as much as."""


class ObjectiveSection(Section):
    violations: PerCent | None = None
    """Share of the requests that may be late, dropped or refused; what the SLO leaves if neither
    this nor a price is given."""
    price: PriceSection | None = None
    """Instead of that: what a failed request costs."""

    @field_validator("price")
    @classmethod
    def _one_of_both(cls, value: PriceSection | None, info: ValidationInfo) -> PriceSection | None:
        if value is not None and info.data.get("violations") is not None:
            raise ValueError("must not be given beside violations; keep one of the two")
        return value

    def to_objective(self, slo: Slo) -> Objective:
        if self.price is not None:
            return Objective(price=self.price.failed_request)
        violations = self.violations
        return Objective(violations=1 - slo.objective if violations is None else violations)

"""What `scaler tune` shows: a table, sentences, the frontier, and the keys of a policy."""

from __future__ import annotations

from typing import Any

from forecaster.report.page import Column, Findings, PageTable, Tile, figure_data, render_page
from scaler.control.review_words import (
    asked,
    came_to,
    choice_sentence,
    day_text,
    per_cent,
    plain_choice,
)
from scaler.decision.objective import ChoiceReason, Spent
from scaler.simulation.tuning import Tuned, compared
from scaler.simulation.tuning_figures import frontier

COLUMNS = ("", "replica-hours", "of the policy's", "violations %")


def rows(found: Tuned) -> list[list[str]]:
    """Return a row for each that is compared, all on the same days."""
    given = found.review.given
    return [
        [name, f"{one.replica_hours:,.1f}", f"{one.replica_hours / given.replica_hours:.3f}",
         f"{100 * one.violations:.4f}"]
        for name, one in compared(found).items()
    ]  # fmt: skip


def extent(found: Tuned) -> str:
    """Return which days were replayed, and what was asked."""
    days = found.review.days
    return (
        f"{len(days)} days of UTC, {day_text(days[0].number)} to {day_text(days[-1].number)}; "
        f"asked: {asked(found.rules.objective)}"
    )


def sentences(found: Tuned) -> list[str]:
    """Return what was found."""
    review = found.review
    beside = (
        f"Chosen night by night, on what was known by then, settings would have come to "
        f"{_spent(review.stood)}; {found.rules.given} to {_spent(review.given)}."
    )
    nets = (
        "tidegate's rows take the HPA's own target at a replica's capacity, as a net under the "
        f"floor; alone it is replayed with its own, {found.own_target:g} of the capacity."
    )
    chosen = choice_sentence(plain_choice(review.choice, found.rules.objective))
    return [f"From now on: {chosen}", beside, nets]


def _spent(spent: Spent) -> str:
    return came_to(spent.replica_hours, spent.violations)


def suggestion(found: Tuned) -> str:
    """Return the chosen settings as keys of a policy."""
    one = found.review.choice.tuning
    return (
        "spec:\n"
        f"  demand: {{risk: {one.risk:g}}}\n"
        f"  capacity: {{targetUtilization: {one.target_utilization:g}}}\n"
        f"  replicas: {{stabilization: {one.stabilization_s:g}s}}"
    )


def record(found: Tuned) -> dict[str, Any]:
    """Return all figures as plain values."""
    review, objective = found.review, found.rules.objective
    return {
        "extent": extent(found),
        "objective": {"violations": objective.violations, "price": objective.price},
        "chosen": {**_plain_tuning(found), "reason": review.choice.reason.value},
        "compared": {name: _plain(one) for name, one in compared(found).items()},
        "finalists": [{"settings": str(one.tuning), **_plain(one.spent)} for one in review.tried],
        "sentences": sentences(found),
    }


def _plain_tuning(found: Tuned) -> dict[str, float]:
    one = found.review.choice.tuning
    return {
        "risk": one.risk,
        "target_utilization": one.target_utilization,
        "stabilization_s": one.stabilization_s,
    }


def _plain(spent: Spent) -> dict[str, float]:
    return {
        "replica_hours": spent.replica_hours,
        "violations": spent.violations,
        "requests": spent.requests,
        "days": spent.days,
    }


def html_report(found: Tuned, title: str) -> str:
    """Return a page that needs no network."""
    chosen = found.review.choice
    head, *columns = COLUMNS
    first, *others = sentences(found)
    given, stood = found.review.given, found.review.stood
    values = {
        "title": title,
        "about": extent(found),
        "intro": "The days of the history are replayed by the classes that run in production, on "
        "a virtual clock, under settings that may be chosen. Cost is told in replica-hours: one "
        "replica for one hour, ready or not.",
        "findings": Findings(
            chosen.reason is not ChoiceReason.UNREACHABLE,
            first,
            [
                Tile(
                    "replica-hours",
                    f"{stood.replica_hours:,.1f}",
                    [f"the policy's: {given.replica_hours:,.1f}"],
                ),
                Tile(
                    "violations",
                    per_cent(stood.violations),
                    [f"the policy's: {per_cent(given.violations)}"],
                ),
            ],
            others,
            [f"Put these into the policy, or an `objective` in their place: `{suggestion(found)}`"],
        ),
        "compared": PageTable([Column(head, words=True), *map(Column, columns)], rows(found)),
        "frontier": figure_data(frontier(found)),
    }
    return render_page("tune.html", values, package=__package__)

"""What `scaler replay --journal` prints."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from forecaster.commands.terminal import Terminal, figure, print_table, table_of
from scaler.adapters.http.views import explanation_view
from scaler.adapters.journal.events import Measured, Observed
from scaler.commands.run_output import print_snapshot
from scaler.control.observations import Workload
from scaler.control.snapshot import ServiceView
from scaler.simulation.journal_answer import JournalAnswer, LeaseRow
from scaler.simulation.journal_replay import JournalFindings, ReplayedTick

# Differences and leases that are printed; the rest is counted.
MOST_ROWS = 20
LEASE_HEADS = ("at", "gateway", "share", "of", "why", "version")


def print_summary(findings: JournalFindings, console: Console | None = None) -> None:
    """Print what a journal holds and whether it came out again."""
    console = console or Terminal()
    wrong = Counter(one.whom.partition(",")[0] for one in findings.differences)
    table = table_of(("service", "decisions", "differences"), words=["service"])
    for service, count in sorted(findings.services.items()):
        table.add_row(Text(service), f"{count:,}", f"{wrong[service]:,}")
    print_table(console, table)
    _print_verdict(findings, console)


def print_service(
    findings: JournalFindings, answer: JournalAnswer, console: Console | None = None
) -> None:
    """Print when the decisions on a service changed, and why."""
    console = console or Terminal()
    heads = ("at", "tick", "observed", "demand,\nwhy", "floor,\nwhy", "limit,\nbound by")
    table = table_of(heads, words=["at"])
    for row in answer.changes:
        facts = row.facts
        table.add_row(
            _time(row.at), str(row.tick), _number(facts.get("observed_qps")),
            f"{_number(facts.get('demand_qps'))}\n{facts.get('demand_reason', '-')}",
            f"{facts.get('floor', '-')}\n{_words(facts.get('floor_reason'))}",
            f"{_number(facts.get('limit_qps'))}\n{_words(facts.get('limit_reason'))}",
        )  # fmt: skip
    print_table(console, table)
    for told in dict.fromkeys(row.facts["error"] for row in answer.changes if "error" in row.facts):
        console.print(Text(f"No decision: {told}", style="yellow"))
    _print_verdict(findings, console)


def print_tick(
    findings: JournalFindings, answer: JournalAnswer, console: Console | None = None
) -> None:
    """Print what was decided at a moment: on one service why, of all of them what."""
    console = console or Terminal()
    found = answer.found
    assert found is not None  # the journal begins before that moment
    began = _time(found.began.now)
    role = "the leader" if found.snapshot.leader else "not the leader"
    console.print(Text(f"Tick {found.snapshot.tick}, begun at {began}, {role}", style="dim"))
    if answer.service is None:
        print_snapshot(found.snapshot, console)
    elif answer.service in found.snapshot.services:
        _print_why(found, found.snapshot.services[answer.service], console)
    else:
        console.print(f"{answer.service} was not watched then")
    _print_leases(answer, found.began.now, console)
    _print_verdict(findings, console)


def _print_why(tick: ReplayedTick, view: ServiceView, console: Console) -> None:
    metrics = next((one for one in tick.answers if isinstance(one, Measured)), Measured())
    seen = metrics.items.get(view.item_id)
    if seen is not None:
        latency = "" if seen.latency_s is None else f", latency {seen.latency_s:.3g} s"
        console.print(Text(f"Observed: {_number(seen.observed_qps)} requests per second{latency}"))
    observed = next((one for one in tick.answers if isinstance(one, Observed)), Observed())
    workload = observed.items.get(view.item_id)
    if workload is not None:
        console.print(Text(f"Pods: {_pods(workload, tick.began.now)}"))
    if view.lead_time is not None:
        lead = view.lead_time
        console.print(
            Text(
                f"Lead time: {lead.seconds:.0f} s ({lead.reason.value}); "
                f"pods take {lead.start_up_s:.0f} s to start"
            )
        )
    if view.forecast is not None:
        forecast, row = view.forecast, view.forecast.values[0]
        told = ", ".join(
            f"{level:g}: {qps:,.4g}" for level, qps in zip(forecast.levels, row, strict=True)
        )
        origin = _time(forecast.origin)
        console.print(Text(f"Forecast of {origin} ({forecast.source}), next step: {told}"))
    words = explanation_view(view)["words"]
    assert isinstance(words, list)
    for line in words:
        console.print(Text(line))


def _pods(workload: Workload | str, now: float) -> str:
    if isinstance(workload, str):
        return workload
    starting = [now - pod.created_at for pod in workload.pods if pod.ready_at is None]
    ready = len(workload.pods) - len(starting)
    since = ", ".join(f"{seconds:.0f} s" for seconds in sorted(starting)[:MOST_ROWS])
    waiting = f", {len(starting)} starting since {since}" if starting else ""
    return (
        f"{len(workload.pods)}, {ready} ready{waiting}; the floor that stands is {workload.floor}"
    )


def _print_leases(answer: JournalAnswer, at: float, console: Console) -> None:
    """Print what gateways were told; renewals are counted."""
    leases = answer.leases
    if not leases:
        console.print(Text("No gateway was answered around then.", style="dim"))
        return
    table = table_of(LEASE_HEADS, words=["at", "gateway", "why"])
    told = [row for row in leases if row.anew]
    nearest = sorted(told, key=lambda row: abs(row.at - at))[:MOST_ROWS]
    for row in sorted(nearest, key=lambda row: row.at):
        table.add_row(
            _time_of_day(row.at), Text(_gateway(row, answer)),
            _number(row.share_qps), _number(row.limit_qps), row.reason, str(row.version),
        )  # fmt: skip
    print_table(console, table)
    more = f" ({len(told)} answers, {len(leases) - len(told)} renewals)"
    console.print(Text(f"Leases within half a minute{more}", style="dim"))


def _gateway(row: LeaseRow, answer: JournalAnswer) -> str:
    return row.gateway if answer.service is not None else f"{row.service} {row.gateway}"


def _print_verdict(findings: JournalFindings, console: Console) -> None:
    assert findings.first is not None
    assert findings.last is not None
    count = len(findings.differences)
    for one in findings.differences[:MOST_ROWS]:
        console.print(Text(str(one), style="yellow"))
    if count > MOST_ROWS:
        console.print(Text(f"and {count - MOST_ROWS:,} more", style="yellow"))
    for told in _caveats(findings):
        console.print(Text(told, style="dim"))
    console.print(
        Text(
            f"{findings.ticks:,} ticks from {_time(findings.first)} to {_time(findings.last)}, "
            f"{findings.decisions:,} decisions and {findings.leases:,} leases replayed: "
            f"{count:,} differences",
            style="bold green" if not count else "bold yellow",
        )
    )


def _caveats(findings: JournalFindings) -> Iterable[str]:
    if len(findings.runs) > 1:
        yield f"{len(findings.runs)} runs: the process was started anew in between"
    if findings.dropped:
        yield f"{findings.dropped:,} events were not kept: the disk was full or too slow"
    if findings.cut:
        yield f"{findings.cut:,} ticks have no end: the process was killed in them"
    if findings.skipped:
        yield f"{findings.skipped:,} calls of gateways rest on what was not kept"


def _time(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _time_of_day(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.time().isoformat(timespec="milliseconds") + "Z"


def _number(value: object) -> str:
    if isinstance(value, float | int) and math.isfinite(value):
        return figure(value)
    return "unknown"


def _words(reason: object) -> str:
    return str(reason or "-").replace("_", " ")

"""What `scaler replay --journal` and `scaler why --journal` tell, as plain values."""

from __future__ import annotations

from dataclasses import asdict

from scaler.adapters.http.views import explanation_view, snapshot_view
from scaler.simulation.journal_answer import JournalAnswer
from scaler.simulation.journal_replay import JournalFindings

Plain = dict[str, object]


def journal_record(findings: JournalFindings, answer: JournalAnswer) -> Plain:
    """Return what a replay has found, and what it tells of a service or a moment."""
    told: Plain = {}
    if answer.found is not None:
        told = {
            "decided": _decided(answer),
            "leases": [asdict(row) for row in answer.leases if row.anew],
        }
    elif answer.service is not None:
        told = {"changes": [{"at": r.at, "tick": r.tick, **r.facts} for r in answer.changes]}
    return {
        "first": findings.first,
        "last": findings.last,
        "ticks": findings.ticks,
        "decisions": findings.decisions,
        "leases_replayed": findings.leases,
        "runs": len(findings.runs),
        "dropped": findings.dropped,
        "cut": findings.cut,
        "skipped": findings.skipped,
        "services": dict(sorted(findings.services.items())),
        "differences": [str(one) for one in findings.differences],
        **told,
    }


def _decided(answer: JournalAnswer) -> Plain:
    """Return what the tick decided: on one service why, of all of them what."""
    assert answer.found is not None
    snapshot = answer.found.snapshot
    services = [view for name, view in sorted(snapshot.services.items()) if answer.tells_of(name)]
    tick = snapshot_view(snapshot, answer.tells_of)
    return {**tick, "reasons": [explanation_view(view) for view in services]}

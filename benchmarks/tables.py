"""Markdown tables, so that what is printed can stand in benchmarks/README.md as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; floats with three digits, all but the first column to the right."""
    lines = [columns, ["---", *("---:" for _ in columns[1:])]]
    lines += [[f"{x:.3f}" if isinstance(x, float) else str(x) for x in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

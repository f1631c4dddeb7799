"""What `forecaster models` prints: rich tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from rich.filesize import decimal
from rich.text import Text

from forecaster.adapters.registry.registry import Registry, StoredArtifact
from forecaster.commands.documents import TABLE, print_document
from forecaster.commands.terminal import Terminal, print_table, table_of
from forecaster.errors import RegistryError


@dataclass(frozen=True)
class Row:
    """One model, described by its champion, or by its newest version where none is promoted.

    Attributes:
        problem: why that version cannot be loaded; its size, time and score are then None.
    """

    name: str
    champion: str | None
    versions: tuple[str, ...]
    created: str | None = None
    size_bytes: int | None = None
    relative_pinball: float | None = None
    problem: str | None = None


def headline(report: Mapping[str, object]) -> float | None:
    """Return the relative pinball loss in a report's summary, or None if there is none.

    >>> headline({"summary": {"relative_pinball": 0.61}}), headline({"summary": "none yet"})
    (0.61, None)
    """
    summary = report.get("summary")
    score = summary.get("relative_pinball") if isinstance(summary, dict) else None
    if isinstance(score, bool) or not isinstance(score, int | float):
        return None
    return float(score)


def champion_or_none(registry: Registry, name: str) -> str | None:
    return registry.champion(name) if registry.has_champion(name) else None


def print_list(registry: Registry, *, form: str) -> None:
    rows = [_row(registry, name) for name in registry.names()]
    if form != TABLE:
        print_document([asdict(row) for row in rows], form)
        return
    if not rows:
        print(f"no models in {registry.root}; 'forecaster train' stores one")
        return
    heads = ("model", "champion", "versions", "created (UTC)", "size", "relative\npinball")
    table = table_of(heads, words=(*heads[:2], heads[3]))
    for row in rows:
        table.add_row(
            row.name,
            row.champion or "none",
            str(len(row.versions)),
            row.created[:16].replace("T", " ") if row.created else "unknown",
            "unknown" if row.size_bytes is None else decimal(row.size_bytes),
            _score(row.relative_pinball),
        )
    print_table(Terminal(), table)
    for row in rows:
        if row.problem:
            print(f"{row.name}: {row.problem}")


def print_version(registry: Registry, model: str, *, form: str) -> None:
    """Print ``NAME`` or ``NAME@VERSION`` after checking all of it."""
    name, at, version = model.partition("@")
    champion = champion_or_none(registry, name)
    if not at:
        version = registry.champion(name)
    stored = registry.stored(name, version)
    if form == TABLE:
        _print_tables(f"{name}@{version}" + " (champion)" * (version == champion), stored)
        return
    tensors = {
        key: {"dtype": str(tensor.dtype), "shape": list(tensor.shape)}
        for key, tensor in sorted(stored.artifact.tensors.items())
    }
    content = {"config": stored.artifact.config, "report": stored.artifact.report}
    about = {
        "name": name,
        "version": version,
        "is_champion": version == champion,
        "created": stored.created.isoformat(),
        "sizes": dict(sorted(stored.sizes.items())),
        "sha256": dict(stored.sha256),
        "relative_pinball": headline(stored.artifact.report),
    }
    print_document({**about, "tensors": tensors, **content}, form)


def print_move(name: str, before: str | None, champion: str, *, form: str) -> None:
    if form != TABLE:
        print_document({"name": name, "champion": champion, "before": before}, form)
    else:
        print(f"{name}: the champion is {champion}; before, it was {before or 'none'}")


def _row(registry: Registry, name: str) -> Row:
    versions, champion = registry.versions(name), None
    try:
        champion = champion_or_none(registry, name)
        stored = registry.stored(name, champion or versions[-1])
    except RegistryError as error:
        return Row(name, champion, versions, problem=str(error))
    return Row(
        name,
        champion,
        versions,
        created=stored.created.isoformat(),
        size_bytes=sum(stored.sizes.values()),
        relative_pinball=headline(stored.artifact.report),
    )


def _print_tables(title: str, stored: StoredArtifact) -> None:
    terminal = Terminal()
    terminal.print(Text(title, style="bold"))
    print(f"created {stored.created:%Y-%m-%d %H:%M} UTC; every file is as it was saved")
    print(f"relative pinball: {_score(headline(stored.artifact.report))}")
    files = table_of(("file", "size", "SHA-256"), words=("file", "SHA-256"))
    for file, size in sorted(stored.sizes.items()):
        files.add_row(file, decimal(size), stored.sha256.get(file, "")[:12])
    tensors = table_of(("tensor", "type", "shape"), words=("tensor", "type"))
    for key, tensor in sorted(stored.artifact.tensors.items()):
        shape = " x ".join(map(str, tensor.shape)) or "scalar"
        tensors.add_row(Text(key), str(tensor.dtype), shape)
    config = table_of(("config", "value"), words=["config"], sentences=["value"])
    for key, value in stored.artifact.config.items():
        config.add_row(Text(key), Text(str(value)))
    for table in (files, tensors, config):
        print_table(terminal, table)


def _score(relative_pinball: float | None) -> str:
    return "unknown" if relative_pinball is None else f"{relative_pinball:.3f}"

"""Policy files: which there are, what they hold, and all that is wrong with them at once.

policy.yaml is wrong:
  spec.demand.risk: must be above 0 and below 1 (got 5, line 8); 5 per cent is 0.05
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scaler.errors import PolicyError
from scaler.policy.faults import examined
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import ReplaySettings
from scaler.policy.schema import KIND
from scaler.policy.yaml_documents import Document, documents

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """A policy that was read.

    Attributes:
        where: its file, and the document where the file has several.
        replay: what only a replay looks at.
    """

    where: str
    policy: Policy
    replay: ReplaySettings


def read_policies(path: Path) -> tuple[PolicyDocument, ...]:
    """Return every policy of a file, or of all ``*.yaml`` and ``*.yml`` files of a directory.

    Raises:
        PolicyError: any of them is wrong; it names every fault of every file.
    """
    good, wrong = examine_policies([path])
    if wrong:
        raise PolicyError("\n".join(wrong))
    return good


def examine_policies(
    paths: Sequence[Path],
) -> tuple[tuple[PolicyDocument, ...], tuple[str, ...]]:
    """Return the policies that can be used, and what is wrong with each document that cannot be."""
    good: list[PolicyDocument] = []
    wrong: list[str] = []
    homes: dict[str, str] = {}  # of every item, so that no two policies are of one
    for file in _files(paths, wrong):
        found = _documents(file, wrong)
        for number, document in enumerate(found, 1):
            where = f"{file}, document {number}" if len(found) > 1 else str(file)
            policy, faults = examined(document)
            if policy is not None:
                read = PolicyDocument(where, policy.to_policy(), policy.to_settings())
                item_id = read.policy.item_id
                if homes.setdefault(item_id, where) == where:
                    good.append(read)
                    continue
                line = document.lines[("metadata",)]
                said = "metadata: must name a service that no other policy names"
                faults = [f"{said} (got {item_id}, line {line}); {homes[item_id]} has it already"]
            wrong.append("\n  ".join([f"{where} is wrong:", *faults]))
    return tuple(good), tuple(wrong)


def _files(paths: Sequence[Path], wrong: list[str]) -> Iterator[Path]:
    """Yield each file once, those of a directory in order of their names."""
    seen: set[Path] = set()
    for path in paths:
        files = [path]
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
            if not files:
                wrong.append(f"{path} holds no policy; its files must end in .yaml or .yml")
        for file in files:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _documents(file: Path, wrong: list[str]) -> list[Document]:
    found: list[Document] = []
    try:
        found.extend(documents(file.read_bytes()))
        if not found:
            wrong.append(f"{file} is empty, but must hold a {KIND}")
    except FileNotFoundError:
        wrong.append(f"{file} does not exist; give a policy file, or a directory of them")
    except OSError as error:
        wrong.append(f"{file} cannot be read: {error.strerror}")
    except ValueError as error:
        wrong.append(f"{file} is not YAML: {error}")
    return found

"""Policy files: reads the policies of files and directories, and reports all their faults at once.

For example::

    policy.yaml is wrong:
      spec.demand.risk: must be above 0 and below 1 (got 5, line 8); 5 per cent is 0.05
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scaler.errors import PolicyError
from scaler.policy.faults import validated, without_effect
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import ReplaySettings
from scaler.policy.schema import KIND
from scaler.policy.yaml_documents import Document, documents

LOGGER = logging.getLogger(__name__)
SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """A policy that was read from a file.

    Attributes:
        where: the file, and the number of the document if the file has several.
        policy: the policy.
        replay: settings that only a replay uses.
    """

    where: str
    policy: Policy
    replay: ReplaySettings


def read_policies(path: Path) -> tuple[PolicyDocument, ...]:
    """Return every policy of a file, or of all ``*.yaml`` and ``*.yml`` files of a directory.

    Raises:
        PolicyError: any of them is invalid; the message lists every fault of every file.
    """
    valid, invalid = examine_policies([path])
    if invalid:
        raise PolicyError("\n".join(invalid))
    return valid


def examine_policies(
    paths: Sequence[Path],
) -> tuple[tuple[PolicyDocument, ...], tuple[str, ...]]:
    """Return the valid policies, and one message for each file or document that is invalid."""
    valid: list[PolicyDocument] = []
    invalid: list[str] = []
    places: dict[str, str] = {}  # file of each item's policy, as an item may have only one
    for file in _files(paths, invalid):
        found = _documents(file, invalid)
        for number, document in enumerate(found, 1):
            where = f"{file}, document {number}" if len(found) > 1 else str(file)
            policy, faults = validated(document)
            if policy is not None:
                for message in without_effect(policy):
                    LOGGER.warning("%s: %s", where, message)
                read = PolicyDocument(where, policy.to_policy(), policy.to_settings())
                item_id = read.policy.item_id
                if places.setdefault(item_id, where) == where:
                    valid.append(read)
                    continue
                line = document.lines[("metadata",)]
                rule = "metadata: must name a service that no other policy names"
                fix = f"{places[item_id]} has it already"
                faults = [f"{rule} (got {item_id}, line {line}); {fix}"]
            invalid.append("\n  ".join([f"{where} is wrong:", *faults]))
    return tuple(valid), tuple(invalid)


def _files(paths: Sequence[Path], invalid: list[str]) -> Iterator[Path]:
    """Yield each file once; the files of a directory in order of their names."""
    seen: set[Path] = set()
    for path in paths:
        files = [path]
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
            if not files:
                invalid.append(f"{path} holds no policy; its files must end in .yaml or .yml")
        for file in files:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _documents(file: Path, invalid: list[str]) -> list[Document]:
    found: list[Document] = []
    try:
        found.extend(documents(file.read_bytes()))
        if not found:
            invalid.append(f"{file} is empty, but must hold a {KIND}")
    except FileNotFoundError:
        invalid.append(f"{file} does not exist; give a policy file, or a directory of them")
    except OSError as error:
        invalid.append(f"{file} cannot be read: {error.strerror}")
    except ValueError as error:
        invalid.append(f"{file} is not YAML: {error}")
    return found

"""Policy files as text: the lines under test within a minimal policy."""

from __future__ import annotations

from scaler.policy.faults import validated
from scaler.policy.schema import DemandPolicy
from scaler.policy.yaml_documents import documents

HEAD = """\
apiVersion: tidegate.dev/v1alpha1
kind: DemandPolicy
metadata: {namespace: shop, name: checkout}
spec:
"""
# Line 5 and 6 of a document; a section under test begins at line 7.
LEAST = """\
  capacity: {requestsPerReplica: 50}
  replicas: {min: 2, max: 10}
"""


def text(section: str = "") -> str:
    """Return a policy with one more section of its spec, written without its indent."""
    return HEAD + LEAST + "".join(f"  {line}\n" for line in section.splitlines())


def bare(spec: str) -> str:
    """Return a policy with nothing else in its spec; it begins at line 5."""
    return HEAD + "".join(f"  {line}\n" for line in spec.splitlines())


def faults(written: str) -> list[str]:
    """Return what is wrong with a document."""
    (document,) = documents(written.encode())
    return validated(document)[1]


def accepted(written: str) -> DemandPolicy:
    """Return a document that is to be right."""
    (document,) = documents(written.encode())
    policy, wrong = validated(document)
    assert policy is not None, wrong
    return policy

"""Paths of the API server; names are escaped, for they come from objects."""

from __future__ import annotations

from urllib.parse import quote

from scaler.hpa.floor_ownership import Target

POLICIES = "/apis/tidegate.dev/v1alpha1"
AUTOSCALING = "/apis/autoscaling/v2"
CORE = "/api/v1"
EVENTS = "/apis/events.k8s.io/v1"
LEASES = "/apis/coordination.k8s.io/v1"


def list_path(group: str, plural: str, namespace: str | None) -> str:
    """Return the path of a list; without a namespace, of the list of all namespaces.

    >>> list_path(CORE, "pods", None), list_path(CORE, "pods", "shop")
    ('/api/v1/pods', '/api/v1/namespaces/shop/pods')
    """
    within = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{group}{within}/{plural}"


def object_path(group: str, plural: str, namespace: str, name: str, sub: str = "") -> str:
    path = f"{list_path(group, plural, namespace)}/{quote(name, safe='')}"
    return f"{path}/{sub}" if sub else path


def autoscaler_path(target: Target) -> str:
    return object_path(AUTOSCALING, "horizontalpodautoscalers", target.namespace, target.name)


def policy_path(item_id: str, sub: str = "") -> str:
    namespace, _, name = item_id.partition("/")
    return object_path(POLICIES, "demandpolicies", namespace, name, sub)

"""Objects as a user or a controller would write them."""

from __future__ import annotations


def hpa(name="shop", namespace="prod", *, least=3, most=20, **meta):
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace, **meta},
        "spec": {
            "minReplicas": least,
            "maxReplicas": most,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        },
    }


def deployment(name="shop", namespace="prod", *, replicas=3):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "web", "image": "web"}]},
            },
        },
    }


def pod(name, namespace="prod", *, app="shop", ready: str | None = "2026-01-01T00:01:00Z"):
    """Return a pod; ``ready`` is the time since which it is Ready, None while it is starting."""
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-of-{namespace}-{name}",  # an API server gives it one of its own
            "labels": {"app": app, "v": name},
        },
        "spec": {"containers": [{"name": "web", "image": "web"}]},
        "status": {
            "phase": "Running" if ready else "Pending",
            "conditions": [condition | ({"lastTransitionTime": ready} if ready else {})],
        },
    }


def policy(name="shop", namespace="prod", **spec):
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "DemandPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": {"min": 2, "max": 10},
            "capacity": {"requestsPerReplica": 50},
            **spec,
        },
    }

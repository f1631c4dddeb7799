"""The caches of watched objects, and the parsers of API responses."""

from __future__ import annotations

import pytest

from scaler.adapters.kube.caches import ObjectCache, PodCache, matches, requirements
from scaler.adapters.kube.objects import conflict_managers, parse_time, retry_after_s
from tests.kube.objects import pod

LABELS = {"app": "web", "tier": "front"}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        pytest.param("app=web", True, id="equal"),
        pytest.param("app==web", True, id="equal, written twice"),
        pytest.param("app=shop", False, id="another value"),
        pytest.param("app!=shop", True, id="not equal"),
        pytest.param("app=web,tier=front", True, id="both"),
        pytest.param("app=web,tier=back", False, id="one of two"),
        pytest.param("tier in (back,front)", True, id="among"),
        pytest.param("tier in (back, other),app=web", False, id="not among"),
        pytest.param("tier notin (back)", True, id="not among those that are excluded"),
        pytest.param("tier notin (front)", False, id="among those that are excluded"),
        pytest.param("old notin (x)", True, id="without the label it is not among"),
        pytest.param("app", True, id="there"),
        pytest.param("old", False, id="not there"),
        pytest.param("!old", True, id="required to be absent"),
        pytest.param("!app", False, id="present, but required to be absent"),
    ],
)
def test_a_selector_selects(selector, selected):
    assert matches(LABELS, requirements(selector)) is selected


def stored(found, version):
    found["metadata"]["resourceVersion"] = str(version)
    found["metadata"].setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
    return found


@pytest.fixture
def pods():
    store = PodCache()
    store.replace([stored(pod("a"), 1), stored(pod("b", ready=None), 2)])
    return store


def count(pods, selector="app=shop", namespace="prod"):
    return len(pods.selected(namespace, selector))


def test_pods_are_found_by_namespace_and_label(pods):
    assert count(pods) == 2
    assert count(pods, "app in (shop,web)") == 2
    assert count(pods, namespace="stage") == 0
    assert count(pods, "app=other") == 0


def test_an_empty_selector_selects_no_pod(pods):
    assert count(pods, "") == 0


def test_a_pod_that_is_relabelled_leaves_its_workload(pods):
    pods.put(stored(pod("a", app="other"), 3))

    assert (count(pods), count(pods, "app=other")) == (1, 1)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"metadata": {"deletionTimestamp": "2026-01-01T01:00:00Z"}}, id="terminating"),
        pytest.param({"status": {"phase": "Succeeded"}}, id="ended"),
        pytest.param({"status": {"phase": "Failed"}}, id="evicted"),
    ],
)
def test_a_pod_that_is_being_deleted_does_not_count(pods, change):
    found = stored(pod("a"), 3)
    for key, value in change.items():
        found[key] |= value
    pods.put(found)

    assert count(pods) == 1


def version_of(found, _before):
    return found["metadata"]["resourceVersion"]


def test_an_event_with_an_older_version_is_ignored():
    shelf = ObjectCache(version_of)
    shelf.put(stored(pod("a"), 10))
    shelf.put(stored(pod("a"), 9))

    assert shelf.get("prod/a") == "10"


def test_what_is_deleted_does_not_come_back_by_the_late_response_to_a_write():
    cache = ObjectCache(version_of)
    cache.put(stored(pod("a"), 10))
    cache.drop(stored(pod("a"), 12))
    cache.renew(stored(pod("a"), 11))

    assert cache.all() == {}


def test_what_is_there_no_more_is_told_and_what_was_read_before_is_handed_on():
    gone, seen = [], []
    cache = ObjectCache(
        lambda found, before: seen.append(before) or version_of(found, None), gone.append
    )
    for name in ("a", "b"):
        cache.put(stored(pod(name), 1))
    cache.put(stored(pod("a"), 2))
    cache.drop(stored(pod("a"), 3))
    cache.replace([stored(pod("c"), 4)])

    assert (gone, seen) == (["prod/a", "prod/b"], [None, None, "1", None])


def test_a_list_that_breaks_off_changes_nothing(pods):
    def broken():
        yield stored(pod("c"), 5)
        raise KeyError("metadata")

    with pytest.raises(KeyError):
        pods.replace(broken())

    assert count(pods) == 2


@pytest.mark.parametrize(
    ("text", "at"),
    [
        pytest.param("1970-01-01T00:01:00Z", 60.0, id="a Time"),
        pytest.param("1970-01-01T00:01:00.500000Z", 60.5, id="a MicroTime"),
        pytest.param(None, None, id="nothing"),
        pytest.param("soon", None, id="no time at all"),
    ],
)
def test_times_of_the_api_server_are_parsed(text, at):
    assert parse_time(text) == at


def test_a_conflict_names_each_manager_once():
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "argocd" using v2'}
    other = {"reason": "Other", "message": 'conflict with "nobody"'}

    assert conflict_managers({"details": {"causes": [cause, cause, other]}}) == ("argocd",)
    assert conflict_managers({"details": None}) == ()


@pytest.mark.parametrize(("text", "seconds"), [("3", 3.0), ("", 0.0), ("Wed, 21 Oct", 0.0)])
def test_retry_after_is_parsed(text, seconds):
    assert retry_after_s({"Retry-After": text}) == seconds

"""Requests that cannot be served: the status and the JSON body of the refusal."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from enum import StrEnum

from scaler.control.snapshot import ServiceView, Snapshot

RETRY_AFTER_S = 2


class RefusalReason(StrEnum):
    """Why a request was refused for who sent it; the label of `tidegate_refused_requests_total`."""

    TOKEN = "token"  # noqa: S105 - a word; 401: it has none that is known
    ROLE = "role"  # 403: what it has is for something else
    HOST = "host"  # 403: without tokens, by a name that is not loopback's
    ORIGIN = "origin"  # 403: without tokens, by a page of elsewhere
    NAMESPACE = "namespace"  # 403: it is for other namespaces
    INSTANCE_TAKEN = "instance_taken"  # 409: the gateway's name belongs to somebody else
    INSTANCES = "instances"  # 429: it has as many gateways as it may


class RequestProblem(Exception):  # noqa: N818 - it is a response, not a fault
    """A request that cannot be served; ``body`` is the response as JSON.

    Args:
        status: the HTTP status.
        detail: what was found, and which rule it breaks.
        retry_after_s: when to try again; None if that would not help.
        reason: why it is refused for who asks; None: anybody's would be.
        more: further keys of the body.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        retry_after_s: int | None = None,
        *,
        reason: RefusalReason | None = None,
        **more: object,
    ) -> None:
        super().__init__(detail)
        self.status, self.retry_after_s, self.reason = status, retry_after_s, reason
        self.body = {"detail": detail, **more}
        if reason is not None:
            self.body["reason"] = reason.value

    def seen_by(self, reaches: Callable[[str], bool]) -> RequestProblem:
        """Return it as it is told to somebody who may know of certain services only."""
        del reaches
        return self


class UnknownServiceProblem(RequestProblem):
    """404: there is no such service; ``near`` are the names that are similar."""

    def __init__(self, service: str, near: list[str]) -> None:
        shown = service if len(service) <= 200 else service[:200] + "..."
        hint = f"; there is {', '.join(near)}" if near else ""
        super().__init__(404, f"no service {shown!r}{hint}", near=near)
        self._service, self._near = service, near

    def seen_by(self, reaches: Callable[[str], bool]) -> RequestProblem:
        return UnknownServiceProblem(self._service, [one for one in self._near if reaches(one)])


def bad_field(field: str, found: str) -> RequestProblem:
    return RequestProblem(422, f"{field}: {found}", field=field)


def known_service(snapshot: Snapshot, service: str) -> ServiceView:
    """Return a service of the snapshot.

    Raises:
        UnknownServiceProblem: there is none.
    """
    view = snapshot.services.get(service)
    if view is not None:
        return view
    near = get_close_matches(service[:200], snapshot.services, n=5, cutoff=0.5)
    name = service.rpartition("/")[2]
    near += [
        other for other in snapshot.services if other.endswith("/" + name) and other not in near
    ]
    raise UnknownServiceProblem(service, near[:5])

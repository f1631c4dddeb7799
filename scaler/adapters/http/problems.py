"""Requests that cannot be served: the status and the JSON body of the refusal."""

from __future__ import annotations

from difflib import get_close_matches

from scaler.control.snapshot import ServiceView, Snapshot


class RequestProblem(Exception):  # noqa: N818 - it is a response, not a fault
    """A request that cannot be served; ``body`` is the response as JSON.

    Args:
        status: the HTTP status.
        detail: what was found, and which rule it breaks.
        retry_after_s: when to try again; None if that would not help.
        more: further keys of the body.
    """

    def __init__(
        self, status: int, detail: str, retry_after_s: int | None = None, **more: object
    ) -> None:
        super().__init__(detail)
        self.status, self.retry_after_s = status, retry_after_s
        self.body = {"detail": detail, **more}


def bad_field(field: str, found: str) -> RequestProblem:
    return RequestProblem(422, f"{field}: {found}", field=field)


def known_service(snapshot: Snapshot, service: str) -> ServiceView:
    """Return a service of the snapshot.

    Raises:
        RequestProblem: 404, with the names that are similar.
    """
    view = snapshot.services.get(service)
    if view is not None:
        return view
    near = get_close_matches(service[:200], snapshot.services, n=5, cutoff=0.5)
    name = service.rpartition("/")[2]
    near += [
        other for other in snapshot.services if other.endswith("/" + name) and other not in near
    ]
    shown = service if len(service) <= 200 else service[:200] + "..."
    hint = f"; there is {', '.join(near[:5])}" if near else ""
    raise RequestProblem(404, f"no service {shown!r}{hint}", near=near[:5])

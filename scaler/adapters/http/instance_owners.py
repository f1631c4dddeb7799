"""Whose the gateways of one service are: a name belongs to who has said it first.

Otherwise anybody who may ask for shares could report no demand in another's name, or take as many
shares as there are names. A name is free again once no lease of it is valid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.problems import RETRY_AFTER_S, RefusalReason, RequestProblem


class InstanceOwners:
    """The owners of a service's gateways. What nobody in particular holds, anybody may take over.

    Args:
        owners: by the gateway's name.
    """

    def __init__(self, owners: Mapping[str, str] | None = None) -> None:
        self._owners = dict(owners or {})
        self._counts = Counter(self._owners.values())

    def memory(self) -> dict[str, str]:
        return dict(self._owners)

    def owns(self, request: LeaseRequest) -> bool:
        """Whether the gateway is, or may become, that of who asks."""
        return self._owners.get(request.instance, "") in ("", request.owner)

    def check(self, request: LeaseRequest) -> None:
        """Raise `RequestProblem` 409 if the gateway is somebody else's."""
        if not self.owns(request):
            raise RequestProblem(
                409,
                f"instance {request.instance!r} belongs to another token or certificate until its "
                "lease has expired; choose a name of your own",
                RETRY_AFTER_S,
                reason=RefusalReason.INSTANCE_TAKEN,
            )

    def check_room(self, request: LeaseRequest) -> None:
        """Raise `RequestProblem` 429 if who asks has as many gateways as they may."""
        most = request.owner_instances
        if most is not None and self._counts[request.owner] >= most:
            raise RequestProblem(
                429,
                f"{request.owner} has {most} gateways of this service already, which is as many "
                "as it may (instances=)",
                RETRY_AFTER_S,
                reason=RefusalReason.INSTANCES,
            )

    def claim(self, request: LeaseRequest) -> None:
        """Note that the gateway is that of who asks."""
        before = self._owners.get(request.instance)
        if before == request.owner:
            return
        if before is not None:
            self._uncount(before)
        self._owners[request.instance] = request.owner
        self._counts[request.owner] += 1

    def keep(self, is_known: Callable[[str], bool]) -> None:
        """Forget the owners of gateways that hold no lease any more."""
        gone = [instance for instance in self._owners if not is_known(instance)]
        for instance in gone:
            self._uncount(self._owners.pop(instance))

    def _uncount(self, owner: str) -> None:
        self._counts[owner] -= 1
        if not self._counts[owner]:
            del self._counts[owner]

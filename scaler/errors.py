"""The exceptions that scaler raises.

    ScalerError
    +-- ClusterError     a request to Kubernetes failed
    |   +-- ClusterUnreachableError  no response in time
    |   +-- ClusterAbsentError       the object does not exist
    |   +-- ClusterConflictError     another manager owns the field, or the object has changed
    |   +-- ClusterRefusedError      not allowed, or not valid
    |       +-- ClusterForbiddenError    a right is missing
    +-- EndpointError    tidegate's endpoint does not answer, or refuses
    +-- FilesError       files are in the way of those that tidegate brings along
    +-- JournalError     a journal cannot be kept or read
    +-- MetricsError     what the metrics say of demand could not be asked for
    +-- PolicyError      a policy file is invalid
    |   +-- QueryRefusedError  a query cannot be held to its policy's namespace
    +-- ReplayError      a history cannot be replayed under a policy
    +-- ServingError     the endpoint cannot be served as requested

Each message names the value found, the rule that it breaks and the fix. The command line prints it
and exits with 2; any other exception that escapes is a bug.
"""


class ScalerError(Exception):
    """Base of all errors that a user can fix."""


class ClusterError(ScalerError):
    """A request to Kubernetes failed."""


class ClusterUnreachableError(ClusterError):
    """No response in time, after all retries; whether the request took effect is unknown."""


class ClusterAbsentError(ClusterError):
    """The object does not exist."""


class ClusterConflictError(ClusterError):
    """Nothing was written: another manager owns the field, or the object has changed.

    Attributes:
        managers: the field managers that own the field; empty where the object has changed.
    """

    def __init__(self, message: str, managers: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.managers = managers


class ClusterRefusedError(ClusterError):
    """The request is not allowed or not valid; a retry would fail too."""


class ClusterForbiddenError(ClusterRefusedError):
    """A right is missing; somebody may grant it while this runs."""


class EndpointError(ScalerError):
    """The endpoint of a running scaler does not answer, or refuses."""


class FilesError(ScalerError):
    """Files are in the way of those that tidegate brings along."""


class JournalError(ScalerError):
    """A journal cannot be kept or read."""


class MetricsError(ScalerError):
    """What the metrics say of demand could not be asked for."""


class PolicyError(ScalerError):
    """A policy file is invalid."""


class QueryRefusedError(PolicyError):
    """A query cannot be held to its policy's namespace, and is not asked."""


class ReplayError(ScalerError):
    """A history cannot be replayed under a policy."""


class ServingError(ScalerError):
    """The endpoint cannot be served as requested."""

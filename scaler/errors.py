"""Everything that scaler raises on purpose.

    ScalerError
    +-- ClusterError     Kubernetes cannot be asked, or says no
    |   +-- ClusterUnreachableError  no answer in time: away, overloaded, or cut off
    |   +-- ClusterAbsentError       what is asked for is not there
    |   +-- ClusterConflictError     somebody else owns it, or changed it meanwhile
    |   +-- ClusterRefusedError      not allowed, or not valid
    +-- JournalError     a journal cannot be kept or read
    +-- PolicyError      a policy file is wrong
    +-- ReplayError      a history cannot be replayed under a policy
    +-- ServingError     the endpoint cannot be served as asked

Each message says the value found, the rule it broke and the fix. The command line prints it and
exits with 2; anything else that escapes is a bug.
"""


class ScalerError(Exception):
    """Base of all errors that a user can act on."""


class ClusterError(ScalerError):
    """Kubernetes cannot be asked, or says no."""


class ClusterUnreachableError(ClusterError):
    """No answer in time, after all retries: nothing is known of whether it was done."""


class ClusterAbsentError(ClusterError):
    """What is asked for is not there."""


class ClusterConflictError(ClusterError):
    """Nothing was written: somebody else owns the field, or the object changed meanwhile.

    Attributes:
        managers: who own the field; empty where the object changed.
    """

    def __init__(self, message: str, managers: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.managers = managers


class ClusterRefusedError(ClusterError):
    """Not allowed, or not valid; trying again changes nothing."""


class JournalError(ScalerError):
    """A journal cannot be kept or read."""


class PolicyError(ScalerError):
    """A policy file is wrong."""


class ReplayError(ScalerError):
    """A history cannot be replayed under a policy."""


class ServingError(ScalerError):
    """The endpoint cannot be served as asked."""

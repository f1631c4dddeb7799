"""Everything that scaler raises on purpose.

    ScalerError
    +-- PolicyError      a policy file is wrong
    +-- ReplayError      a history cannot be replayed under a policy

Each message says the value found, the rule it broke and the fix. The command line prints it and
exits with 2; anything else that escapes is a bug.
"""


class ScalerError(Exception):
    """Base of all errors that a user can act on."""


class PolicyError(ScalerError):
    """A policy file is wrong."""


class ReplayError(ScalerError):
    """A history cannot be replayed under a policy."""

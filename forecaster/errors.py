"""Everything that forecaster raises on purpose.

    ForecasterError
    +-- ConfigError         an option or a configuration key is wrong
    +-- HistoryError        the recorded traffic cannot be used as it is
    +-- PrometheusError     Prometheus is away, refuses, or answers nonsense
    |   +-- PrometheusAwayError  no answer in time, after all attempts
    +-- RegistryError       a stored model cannot be read, written or promoted

Each message says the value found, the rule it broke and the fix. The command line prints it and
exits with 2; anything else that escapes is a bug.
"""


class ForecasterError(Exception):
    """Base of all errors that a user can act on."""


class ConfigError(ForecasterError):
    """An option or a configuration key is wrong."""


class HistoryError(ForecasterError):
    """The recorded traffic cannot be used as it is."""


class PrometheusError(ForecasterError):
    """Prometheus is away, refuses, or answers nonsense."""


class PrometheusAwayError(PrometheusError):
    """No answer in time, after all attempts: the same query may be answered later."""


class RegistryError(ForecasterError):
    """A stored model cannot be read, written or promoted."""

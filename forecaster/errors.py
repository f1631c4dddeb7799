"""The exceptions that forecaster raises.

    ForecasterError
    +-- ConfigError         an option or a configuration key is invalid
    +-- HistoryError        the recorded traffic cannot be used as it is
    +-- PrometheusError     a query to Prometheus failed, or its response is invalid
    |   +-- PrometheusAwayError  no response in time, after all attempts
    +-- RegistryError       a stored model cannot be read, written or promoted

Each message names the value found, the rule that it breaks and the fix. The command line prints it
and exits with 2; any other exception that escapes is a bug.
"""


class ForecasterError(Exception):
    """Base of all errors that a user can fix."""


class ConfigError(ForecasterError):
    """An option or a configuration key is invalid."""


class HistoryError(ForecasterError):
    """The recorded traffic cannot be used as it is."""


class PrometheusError(ForecasterError):
    """A query to Prometheus failed, or its response is invalid."""


class PrometheusAwayError(PrometheusError):
    """No response in time, after all attempts; the same query may succeed later."""


class RegistryError(ForecasterError):
    """A stored model cannot be read, written or promoted."""

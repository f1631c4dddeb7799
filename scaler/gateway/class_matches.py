"""The priority class of a request, by its headers."""

from __future__ import annotations

from collections.abc import Iterable

from scaler.gateway.lease_document import ClassTerms


class ClassMatches:
    """The headers by which a lease recognises classes.

    Of several classes that match it is the one of the lowest ``priority``, then the first by name.
    """

    def __init__(self, classes: Iterable[ClassTerms] = ()) -> None:
        ordered = sorted(classes, key=lambda one: (one.priority, one.name))
        self._matches = [(one.match, one.name) for one in ordered if one.match is not None]

    def class_of(self, headers: Iterable[tuple[str, str]]) -> str | None:
        """Return the name of the class of a request with these headers; None: none matches.

        Args:
            headers: names, in lower case, and values.
        """
        if not self._matches:
            return None
        sent: dict[str, list[str]] = {}
        for name, value in headers:
            sent.setdefault(name, []).append(value)
        for match, name in self._matches:
            values = sent.get(match.header)
            if values is not None and (match.value is None or match.value in values):
                return name
        return None

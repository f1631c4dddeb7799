"""Which version serves, and which ones served before: the content of ``champion.json``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from forecaster.adapters.exact_json import json_bytes, read_object
from forecaster.adapters.registry.files import FORMAT_VERSION, check_format_version
from forecaster.adapters.registry.storage import version_number
from forecaster.errors import RegistryError

_HISTORY_LENGTH = 100


@dataclass(frozen=True)
class Pointer:
    """The champion, and in ``history`` the champions before it, oldest first.

    >>> list(Pointer("v0001").moved_to("v0002").moved_to("v0001").rollbacks())
    [Pointer(champion='v0002', history=('v0001',)), Pointer(champion='v0001', history=())]
    """

    champion: str
    history: tuple[str, ...] = ()

    def moved_to(self, version: str) -> Pointer:
        """Return the pointer after a promotion; promoting the champion changes nothing."""
        if version == self.champion:
            return self
        return Pointer(version, (*self.history, self.champion)[-_HISTORY_LENGTH:])

    def rollbacks(self) -> Iterator[Pointer]:
        """Yield the pointers to go back to, newest first."""
        for count in reversed(range(len(self.history))):
            yield Pointer(self.history[count], self.history[:count])

    def encode(self) -> bytes:
        return json_bytes(
            {
                "format_version": FORMAT_VERSION,
                "champion": self.champion,
                "history": list(self.history),
            }
        )


def decode_pointer(data: bytes, path: str) -> Pointer:
    """Return the pointer in a file's bytes; ``path`` is for messages."""
    content = read_object(data, path)
    check_format_version(content, path)
    champion, history = content.get("champion"), content.get("history")
    chain = [*history, champion] if isinstance(history, list) else [None]
    if not all(isinstance(each, str) and version_number(each) for each in chain):
        raise RegistryError(
            f"{path} was edited: champion and history must name versions such as v0001; "
            "restore it, or remove it and promote a version"
        )
    return Pointer(str(champion), tuple(map(str, chain[:-1])))

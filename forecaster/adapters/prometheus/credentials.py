"""The credentials of each request, read from their files: they rotate, and never reach a message.

Used by `client` alone.
"""

from __future__ import annotations

from pathlib import Path

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from forecaster.adapters.prometheus.settings import PrometheusSettings
from forecaster.errors import ConfigError


class FileCredentials(AuthBase):
    """Adds the credentials to each request; because it is set, ``~/.netrc`` is not read."""

    def __init__(self, settings: PrometheusSettings) -> None:
        self._settings = settings

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._settings.bearer_token_file:
            token = _secret(self._settings.bearer_token_file)
            # http.client writes Latin-1; this way the bytes on the wire are UTF-8.
            request.headers["Authorization"] = f"Bearer {token}".encode().decode("latin-1")
        elif self._settings.username is not None and self._settings.password_file:
            user, password = self._settings.username, _secret(self._settings.password_file)
            # Bytes: requests would send Latin-1.
            HTTPBasicAuth(user.encode(), password.encode())(request)
        return request


def _secret(path: Path) -> str:
    """Return the one line of text in the file; a message never shows it."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as a text file with a credential") from error
    if not text or not text.isprintable():
        raise ConfigError(f"{path} must hold one line of text, the credential, and nothing else")
    return text

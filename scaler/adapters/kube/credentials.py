"""Who we are to the API server: by the pod's service account, or by a kubeconfig file.

A token file is read again for each request, so a token that is rotated is followed at once. All
else, a client certificate and what a plugin prints among it, is read again when the server answers
401; see `KubernetesApi`. Plugins also run again when what they printed has expired.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.incluster_config import SERVICE_TOKEN_FILENAME
from kubernetes.config.kube_config import (
    KUBE_CONFIG_DEFAULT_LOCATION,
    KubeConfigLoader,
    KubeConfigMerger,
)

from scaler.errors import ClusterRefusedError


def settings_of(kubeconfig: Path | None, context: str | None) -> client.Configuration:
    """Return what a kubeconfig file and context say; without both, the pod's service account.

    Raises:
        ClusterError: there is no such configuration, or it cannot be used.
    """
    settings = client.Configuration()
    try:
        if kubeconfig is None and context is None:
            try:
                config.load_incluster_config(settings)  # type: ignore[no-untyped-call]
                _follow(Path(SERVICE_TOKEN_FILENAME), settings)
            except ConfigException:
                _from_file(None, None, settings)
        else:
            _from_file(kubeconfig, context, settings)
    except (ConfigException, OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        where = kubeconfig or "the pod's service account, KUBECONFIG and ~/.kube/config"
        raise ClusterRefusedError(
            f"no cluster can be reached by {where}: {_text(error)}; name a kubeconfig by "
            "--kubeconfig"
        ) from error
    settings.retries = False  # they are made in `KubernetesApi`
    settings.connection_pool_maxsize = 32  # as many as the threads of one tick
    return settings


def _text(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else None
    return f"{reason or error}"[:200]


def _from_file(file: Path | None, context: str | None, settings: client.Configuration) -> None:
    # One file, or several that are merged, as the variable KUBECONFIG names them.
    found = KubeConfigMerger(str(file or KUBE_CONFIG_DEFAULT_LOCATION)).config  # type: ignore[no-untyped-call]
    if found is None:
        raise ConfigException("there is no such file")
    loader = KubeConfigLoader(found, context, config_base_path=None)  # type: ignore[no-untyped-call]
    loader.load_and_set(settings)  # type: ignore[no-untyped-call]
    name = loader.current_context["context"].get("user")
    user = found["users"].get_with_name(name, safe=True) if name else None
    if user is not None and "tokenFile" in user["user"]:
        _follow(Path(user.path).parent / user["user"]["tokenFile"], settings)


def _follow(token_file: Path, settings: client.Configuration) -> None:
    """Have each request read a token file; it comes before a token that stands beside it.

    While the file cannot be read, or is empty, as when it is being written, the last token stays.
    """

    def read(settings: client.Configuration) -> None:
        try:
            token = token_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return
        if token:
            settings.api_key["BearerToken"] = f"Bearer {token}"

    settings.refresh_api_key_hook = read  # type: ignore[assignment]
    read(settings)

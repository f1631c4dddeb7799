"""The endpoint's server: uvicorn in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

import uvicorn
from fastapi import FastAPI

from scaler.adapters.http.auth import is_loopback
from scaler.adapters.http.certificates import RenewedCertificate, Tls
from scaler.adapters.http.connections import GuardedListener, Peers, ServerLoop, file_limit
from scaler.adapters.http.peer_names import PeerNamesProtocol
from scaler.adapters.http.settings import ApiSettings
from scaler.errors import ServingError

LOG = logging.getLogger(__name__)
# On a stop long polls are answered at once; other requests may take this long.
GRACE_S = 3
# A whole stop: the above, and whatever else runs on the event loop.
STOP_S = 7.0
START_S = 10.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 is any free port."""

    host: str = "127.0.0.1"
    port: int = 8080
    tls: Tls | None = None


def check_access(address: Address, settings: ApiSettings) -> None:
    """Refuse to serve everybody by mistake.

    Raises:
        ServingError: other machines can reach the address, and clients are not authenticated.
    """
    authenticated = settings.tokens is not None or (
        address.tls is not None and address.tls.client_ca
    )
    if not (authenticated or settings.allow_anonymous or is_loopback(address.host)):
        raise ServingError(
            f"{address.host} can be reached from elsewhere, but there is neither a token file nor "
            "a client CA; give one, listen on 127.0.0.1, or allow anonymous access explicitly"
        )


class ApiServer:
    """Serves an application until it is stopped; also a context manager.

    Attributes:
        certificate: that it shows; None without TLS.

    Args:
        app: made by `create_app`.
        address: where to listen.
        beside: what else runs on the same event loop; entered before the first request is
            served, left after the last one, which may take two seconds.
    """

    def __init__(
        self,
        app: FastAPI,
        address: Address,
        beside: Sequence[contextlib.AbstractAsyncContextManager[object]] = (),
    ) -> None:
        self._app, self._address, self._beside = app, address, tuple(beside)
        self._socket: GuardedListener | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None
        self.certificate = RenewedCertificate(address.tls) if address.tls else None
        context = self.certificate.context() if self.certificate else None
        self._peers = Peers()
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            lifespan="on",
            loop="asyncio",
            http=type("Served", (PeerNamesProtocol,), {"peers": self._peers}),
            ws="none",
            # A gateway sends a request about every two seconds and should keep its connection.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=GRACE_S,
            ssl_context_factory=(lambda *_: context) if context else None,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)
        self._started = threading.Event()

    @property
    def port(self) -> int:
        assert self._socket is not None, "start() comes first"
        return int(self._socket.getsockname()[1])

    @property
    def refused_connections(self) -> int:
        """How many were refused because too few files were left."""
        return self._socket.refused if self._socket is not None else 0

    @property
    def url(self) -> str:
        scheme = "https" if self._address.tls else "http"
        host = self._address.host
        shown = f"[{host}]" if ":" in host else host
        return f"{scheme}://{shown}:{self.port}"

    def start(self) -> None:
        """Listen, and return once requests are served.

        Raises:
            ServingError: the address is in use, or not one of this machine.
        """
        host, port = self._address.host, self._address.port
        # FastAPI silences a warning of pydantic while it makes the description, by a filter of the
        # whole process. So this happens here, before there are threads, not in the first request.
        self._app.openapi()
        encrypted = self.certificate is not None
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = GuardedListener(family, file_limit(), self._peers, encrypted=encrypted)
        _listen(self._socket, host, port)
        self._thread.start()
        if not self._started.wait(START_S) or self._failure is not None:
            self._socket.close()
            raise ServingError(f"the endpoint did not start: {self._failure}")
        LOG.info("endpoint url=%s", self.url)

    def stop(self) -> None:
        """Answer long polls, finish running requests, and return within `STOP_S` seconds."""
        if not self._thread.is_alive():
            return
        self._server.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._app.state.close)
        self._thread.join(STOP_S)
        if self._thread.is_alive():
            self._server.force_exit = True
            LOG.warning("the endpoint does not stop in time; its thread is abandoned")

    def __enter__(self) -> ApiServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            assert self._socket is not None
            async with contextlib.AsyncExitStack() as stack:
                for one in self._beside:
                    await stack.enter_async_context(one)
                starting = asyncio.create_task(self._note_start())
                try:
                    await self._server.serve(sockets=[self._socket])
                finally:
                    starting.cancel()

        try:
            with asyncio.Runner(loop_factory=ServerLoop) as runner:
                runner.run(serve())
        except BaseException as error:  # noqa: BLE001 - uvicorn exits where it cannot start
            self._failure = error
        finally:
            self._started.set()

    async def _note_start(self) -> None:
        while not self._server.started:
            await asyncio.sleep(0.01)
        self._started.set()


def _listen(listening: socket.socket, host: str, port: int) -> None:
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(4096)
    except OSError as error:
        listening.close()
        raise ServingError(f"cannot listen on {host}:{port}: {error}") from error

"""An API server on loopback that keeps its objects in memory: real HTTP, real wire semantics.

kmock 0.8 was looked at and is not used: it serves objects without resource versions, so there is
nothing to conflict with, to resume a watch from or to expire (no 409, no 410, no bookmarks); it has
no server-side apply, no managedFields and no rules of kinds; and it needs an asyncio test with
aiohttp, where the code under test is threads and urllib3.

Requests are counted by what a Role would have to grant, and refused (403) where `grants` lacks it;
the token "admin" may do everything.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.kube import answering
from tests.kube.faults import Faults, Harm
from tests.kube.routes import ApiCall, Grant, parse_call
from tests.kube.store import Store
from tests.kube.watching import events


class ApiServer:
    """An API server in memory: its objects, its faults, and the requests that it got."""

    def __init__(self, grants: frozenset[Grant] | None = None) -> None:
        self.store, self.faults, self.grants = Store(), Faults(), grants
        self.used: set[Grant] = set()  # by all clients except the admin
        self.revoked = {"", "wrong"}  # tokens that are answered with 401
        self.requests: list[str] = []
        self.bookmark_s = 0.2
        self.stopping = threading.Event()
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.server = self
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def start(self) -> None:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.stopping.set()
        self.faults.released.set()
        with self.store.locked():
            self.store.changed.notify_all()
        self._http.shutdown()
        self._http.server_close()

    def count(self, what: str) -> int:
        """Return the number of requests whose ``"METHOD path"`` contains ``text``."""
        return sum(what in one for one in list(self.requests))

    def kubeconfig(self, token: str, user=None) -> str:
        """Return a kubeconfig file (JSON, which is YAML), of a token or another kind of user."""
        named = {
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "fake", "user": user or {"token": token}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        }
        return json.dumps(
            {"apiVersion": "v1", "kind": "Config", "current-context": "fake", **named}
        )


@contextmanager
def serving(grants: frozenset[Grant] | None = None):
    server = ApiServer(grants)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    server: ApiServer

    def handle_error(self, request, client_address):
        """Do not report clients that close the connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for an answer: head and body

    def log_message(self, *args):
        pass

    def _serve(self):
        server: ApiServer = self.server.server  # type: ignore[attr-defined]
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        what = f"{self.command} {self.path}"
        server.requests.append(what)
        fault = server.faults.next(what, self._token())
        if fault is not None and fault.harm is Harm.HOLD:
            server.faults.released.wait()
        if fault is not None and fault.harm in (Harm.HOLD, Harm.DROP):
            self._hang_up()
            return
        if fault is not None:
            fault.meddle()
        if fault is not None and fault.harm is Harm.REFUSE:
            self._answer(answering.status(fault.status, "InternalError", "told to"), fault.headers)
            return
        if fault is not None and fault.harm is Harm.GONE:
            self._stream(iter([answering.gone_event()]))
            return
        call = parse_call(server.store, self.command, self.path, body, dict(self.headers))
        reply = self._permitted(server, call)
        if reply is None and isinstance(call, ApiCall) and call.watches:
            reply = answering.too_old(server.store, call)
            if reply is None:
                self._stream(events(server, call))
                return
        reply = reply or answering.respond(server.store, call)
        if fault is not None and fault.harm is Harm.LOSE:
            self._hang_up()
            return
        self._answer(reply, {})

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ").strip()

    def _permitted(self, server: ApiServer, call):
        token = self._token()
        if token in server.revoked:
            return answering.status(401, "Unauthorized", "Unauthorized")
        if not isinstance(call, ApiCall) or token == "admin":
            return None
        server.used.add(call.grant)
        if server.grants is not None and not call.granted(server.grants):
            verb, group, resource, _ = call.grant
            message_text = f'cannot {verb} resource "{resource}" in API group "{group}"'
            return answering.status(403, "Forbidden", message_text)
        return None

    def _answer(self, reply, headers):
        code, found = reply
        body = json.dumps(found).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, lines):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(OSError):
            self.wfile.flush()
            for found in lines:
                if found is None:  # cut
                    self._hang_up()
                    return
                line = json.dumps(found).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

    def _hang_up(self):
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(2)


for _method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler._serve)

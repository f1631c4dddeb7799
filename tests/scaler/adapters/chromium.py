"""A headless Chromium, controlled by its debugging protocol.

Source of the protocol: the Chrome DevTools Protocol, domains Page, Runtime, Network, Emulation.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

from tests.conformance.setup import ended
from tests.waiting import PATIENCE_S

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
START_S = ANSWER_S = PATIENCE_S


def found() -> str | None:
    """Return the path of a browser; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Tab:
    """One tab, which records its events."""

    def __init__(self, url: str) -> None:
        self._socket = websocket.create_connection(
            url, timeout=ANSWER_S, suppress_origin=True, http_no_proxy=["127.0.0.1"]
        )
        self._number = 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **params: object) -> dict[str, Any]:
        """Execute one command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        self._socket.send(json.dumps(message))
        while True:
            reply = json.loads(self._socket.recv())
            if reply.get("id") == self._number:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']}")
                return dict(reply["result"])
            self.events.append(reply)

    def open(self, url: str, *, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        self.do(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.do("Emulation.setEmulatedMedia", features=scheme)
        self.do("Page.navigate", url=url)

    def js(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        result = self.do("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def until(self, expression: str, *, within_s: float = PATIENCE_S) -> Any:
        """Return the value of an expression as soon as it is true; it may fail until then."""
        end = time.monotonic() + within_s
        while not (value := self._tried(expression)):
            if time.monotonic() > end:
                text = self.js("document.body.innerText")
                raise AssertionError(f"never true: {expression}; the page says:\n{text}")
            time.sleep(0.05)
        return value

    def _tried(self, expression: str) -> Any:
        try:
            return self.js(expression)
        except RuntimeError:  # the page is not loaded yet
            return None

    def press(self, key: str, code: int, text: str = "") -> None:
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.do("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.do("Input.dispatchKeyEvent", type="keyUp", **common)

    def drag(self, x: float, y: float, *, by: float) -> None:
        """Hold the left button at a point, and let it go further to the right."""
        end = x + by
        for kind, at in (
            ("mouseMoved", x),
            ("mousePressed", x),
            ("mouseMoved", end),
            ("mouseReleased", end),
        ):
            self.do("Input.dispatchMouseEvent", type=kind, x=at, y=y, button="left", clickCount=1)

    def write(self, text: str) -> None:
        """Type into the focused element."""
        self.do("Input.insertText", text=text)

    def named(self, method: str) -> list[dict[str, Any]]:
        """Return the parameters of all recorded events of that name."""
        self.js("1")
        return [event["params"] for event in self.events if event.get("method") == method]

    def picture(self, path: Path, *, whole: bool = True) -> None:
        shot = self.do("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        self._socket.close()


@contextmanager
def browsing(program: str, profile: Path) -> Iterator[Tab]:
    """Return a tab of a browser with an empty profile, which ends with the context."""
    command = [
        program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
    ]  # fmt: skip
    with (profile.parent / "chromium.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        tab = Tab(_page_socket(profile / "DevToolsActivePort", process))
        yield tab
        tab.close()
    finally:
        ended(process)


def _page_socket(port_file: Path, process: subprocess.Popen[bytes]) -> str:
    """Return the address of the tab's socket, once the browser has written its port to a file."""
    end = time.monotonic() + START_S
    while not (port_file.is_file() and len(port_file.read_text().splitlines()) == 2):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the browser did not start: exit status {process.poll()}")
        time.sleep(0.05)
    port, path = port_file.read_text().splitlines()
    browser = websocket.create_connection(
        f"ws://127.0.0.1:{port}{path}",
        timeout=ANSWER_S, suppress_origin=True, http_no_proxy=["127.0.0.1"],
    )  # fmt: skip
    browser.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
    while (reply := json.loads(browser.recv())).get("id") != 1:
        pass
    browser.close()
    (target, *_) = (t for t in reply["result"]["targetInfos"] if t["type"] == "page")
    return f"ws://127.0.0.1:{port}/devtools/page/{target['targetId']}"

"""The page at ``/``: what the loop does, live; everything that it loads is in the installation.

Imports plotly alone. Used by the commands that serve the endpoint.

page.html   -> its skeleton; page.css: its look, light and dark
follow.js   -> the stream of ticks, read so that a token can be sent and a loss is noticed
figure.js   -> the drawing of one service
service.js  -> the words and numbers of one service
page.js     -> the list of services, the address, the token, and who is told what

Rule of the scripts: what comes over the wire becomes text, never markup.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files

KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
OURS = ("page.css", "follow.js", "figure.js", "service.js", "page.js")
PLOTLY = "plotly.js"

Assets = Mapping[str, tuple[str, bytes]]


def page() -> tuple[bytes, Assets]:
    """Return the page, and the files that it loads from ``assets/`` beside it, by name.

    A name holds a digest of the content: what a browser keeps is never of another version.
    """
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - for whoever looks at the page, only

    folder = files(__name__)
    html = folder.joinpath("page.html").read_text("utf-8")
    assets: dict[str, tuple[str, bytes]] = {}
    for name in (*OURS, PLOTLY):
        stem, _, ending = name.rpartition(".")
        content = get_plotlyjs().encode() if name == PLOTLY else folder.joinpath(name).read_bytes()
        named = f"{stem}-{hashlib.sha256(content).hexdigest()[:12]}.{ending}"
        assets[named] = KINDS[f".{ending}"], content
        html = html.replace(f'"assets/{name}"', f'"assets/{named}"')
    return html.encode(), assets

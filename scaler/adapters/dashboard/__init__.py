"""The live page at ``/``, and the files that it loads, all of them part of the installation.

Imports plotly alone. Used by the commands that serve the endpoint.

page.html   -> the elements; page.css: the style, light and dark
follow.js   -> the event stream, read so that a token can be sent and a lost connection is noticed
figure.js   -> the figure of one service
service.js  -> the texts and numbers of one service
page.js     -> the list of services, the address bar, the token, and updates of all parts

Rule of the scripts: what the endpoint sends is inserted as text, never as markup.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files

KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
OURS = ("page.css", "follow.js", "figure.js", "service.js", "page.js")
PLOTLY = "plotly.js"
# The chart library adds a style for maps, which the page's policy forbids and no chart here needs,
# unless there is an element with this id.
_MAP_STYLE = re.compile(r'getElementById\("([0-9a-f]{64})"\)')

Assets = Mapping[str, tuple[str, bytes]]


def page() -> tuple[bytes, Assets]:
    """Return the page, and by name the files that it loads from ``assets/`` beside it.

    A name holds a digest of the content, so that a browser's cache never mixes versions.
    """
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - for whoever looks at the page, only

    folder = files(__name__)
    html = folder.joinpath("page.html").read_text("utf-8")
    assets: dict[str, tuple[str, bytes]] = {}
    for name in (*OURS, PLOTLY):
        stem, _, ending = name.rpartition(".")
        if name == PLOTLY:
            library = get_plotlyjs()
            content = library.encode()
            for known in _MAP_STYLE.findall(library):
                html = html.replace("</head>", f'<meta id="{known}">\n</head>')
        else:
            content = folder.joinpath(name).read_bytes()
        named = f"{stem}-{hashlib.sha256(content).hexdigest()[:12]}.{ending}"
        assets[named] = KINDS[f".{ending}"], content
        html = html.replace(f'"assets/{name}"', f'"assets/{named}"')
    return html.encode(), assets

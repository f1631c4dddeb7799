"""Run by itself, by a Python that has `tidegate-client`: an application behind the middleware.

    limited_app.py ENDPOINT MODULE,MODULE    # none of these can be imported

Prints the statuses of its requests up to the first that is refused, and what that one says.
"""

# ruff: noqa: PLC0415, T201 - a program, which pytest imports where there is no tidegate_client

from __future__ import annotations

import asyncio
import sys
from collections import Counter


async def main(endpoint: str) -> None:
    import httpx
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from tidegate_client import TidegateLimit, by_header

    async def hello(request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    app = Starlette(routes=[Route("/", hello)])
    app.add_middleware(
        TidegateLimit, endpoint=endpoint, service="prod/shop", client_key=by_header("x-client")
    )
    seen = Counter()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        while not seen[429]:  # before the first lease all are admitted
            answer = await client.get("/")
            seen[answer.status_code] += 1
            await asyncio.sleep(0.001)
    print(*sorted(seen), answer.headers["retry-after"], answer.headers["ratelimit-policy"])


if __name__ == "__main__":
    sys.modules.update(dict.fromkeys(sys.argv[2].split(",")))
    asyncio.run(main(sys.argv[1]))

"""HTTP requests whose responses are bounded, whatever the other side sends.

The time-outs of httpx are for each part of a response, of which there may be ever another one, and
a response may be as long as memory lasts.
"""

from __future__ import annotations

import asyncio

import httpx

from scaler.gateway.limits_endpoint import LimitsAnswer


async def bounded_request(
    client: httpx.AsyncClient, request: httpx.Request, within_s: float, max_bytes: int
) -> LimitsAnswer:
    """Send a request, and return its whole response.

    Raises:
        httpx.HTTPError: there is none.
        TimeoutError: it takes longer than ``within_s``.
        ValueError: it has more than ``max_bytes``.
    """
    async with asyncio.timeout(within_s):
        response = await client.send(request, stream=True)
        try:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > max_bytes:
                    raise ValueError(f"the response has more than {max_bytes} bytes")
        finally:
            await response.aclose()
    header = response.headers.get("retry-after", "")
    retry_after_s = float(header) if header.isdecimal() else 0.0
    etag = response.headers.get("etag", "")
    return LimitsAnswer(response.status_code, etag, bytes(body), retry_after_s)

"""One range query to Prometheus: credentials, retries, and what each refusal means.

Requests go through `prometheus_api_client.PrometheusConnect`, with a session of our own. With its
default session it would wait for ever (no timeout), retry silently and without jitter, follow a
redirect to another host with the tenant header and the client certificate, prefer ``~/.netrc`` to
the given token, and drop status, headers and warnings of an answer. Its POST puts the query into
the URL as well, so it is told to GET, and our session makes a POST of what is too long for a URL.

Rules of this file:
    * 429, 408, 5xx, time-outs, broken connections and half bodies are retried; nothing else is.
    * A redirect is followed within the same scheme, host and port only. Elsewhere it is refused,
      since credentials would travel along.
    * A body is read up to a bound of bytes, and of time where there is one; see `bodies`.
    * Secrets are read from files at every request (they rotate) and never reach a message.
"""

from __future__ import annotations

import logging
import math
import re
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import requests
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util.retry import Retry

from forecaster.adapters.prometheus.answers import (
    PrometheusAnswer,
    QueryGrid,
    on_grid,
    one_line,
    remarks,
    shown,
)
from forecaster.adapters.prometheus.bodies import (
    AnswerBounds,
    LateBodyError,
    LongBodyError,
    read_body,
)
from forecaster.adapters.prometheus.credentials import FileCredentials
from forecaster.adapters.prometheus.failures import (
    RefusedError,
    RetryableError,
    answered_at,
    explanation,
    retry_after_s,
    translated,
)
from forecaster.adapters.prometheus.settings import Pacing, PrometheusSettings
from forecaster.errors import PrometheusAwayError, PrometheusError

LOGGER = logging.getLogger(__name__)

# A cheap look before an answer is read once more for its remarks: labels may have these names, too.
REMARKED = re.compile(rb'"warnings"|"isPartial"\s*:\s*true')
MIN_TIMEOUT_S = 0.01  # of an attempt, where the time for an answer is all but spent

# Proxies take request lines of 4 kB and more.
LONGEST_URL = 2000

FIXES = {
    400: "correct the PromQL",
    401: "check --bearer-token-file, or --username and --password-file",
    403: "check that this user or tenant (--header) may read the series",
    404: "give the base URL, without /api/v1",
    405: "let the proxy pass POST to /api/v1/query_range, or shorten the query",
    414: "shorten the query, or let the proxy pass longer ones",
    422: "if it loads too many samples, lower --chunk-points or sum by fewer labels",
}
# Azure Monitor and others refuse a range that is too long by 400, as if it were bad PromQL.
RANGE_LIMIT = re.compile(r"(?i)time range|resolution|query length|too (long|large|many)|exceed")
FEWER = "lower --chunk-points, so that each request covers a shorter range"
# Some servers and caches tell an error with the status 200.
ERROR = re.compile(rb'^\s*{\s*"status"\s*:\s*"error"')
ERROR_WITHIN = 100


class PrometheusSource:
    """Queries one Prometheus for ranges.

    Attributes:
        date: when the last answer was made by the server's clock, in seconds since the epoch,
            rounded down to whole ones; None: it was not told, or there was no answer.

    Args:
        settings: where it is and who asks.
        pacing: the clock, the sleep and the jitter between attempts.
    """

    def __init__(self, settings: PrometheusSettings, pacing: Pacing | None = None) -> None:
        self.settings = settings
        self._pacing = pacing or Pacing()
        self._remarks: tuple[tuple[str, ...], tuple[str, ...]] = (), ()
        self.date: float | None = None
        self._max_bytes, self._until = 0, math.inf  # of the answer that is being asked for
        session = _Session()
        session.stream = True  # bodies are read in `_read`
        session.hooks["response"] = [self._read, self._check_response]
        session.verify = str(settings.ca_file) if settings.ca_file else True
        if settings.client_cert:
            key = settings.client_key
            session.cert = (
                (str(settings.client_cert), str(key)) if key else str(settings.client_cert)
            )
        self._client = PrometheusConnect(
            url=settings.url.rstrip("/"),
            headers=dict(settings.headers),
            retry=Retry(0, read=False),  # retries are made here, where they can be logged
            auth=FileCredentials(settings),  # type: ignore[arg-type] # requests takes any AuthBase
            session=session,
            timeout=settings.timeout.total_seconds(),  # type: ignore[arg-type] # and any number
        )

    def __enter__(self) -> PrometheusSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def query_range(
        self, promql: str, grid: QueryGrid, bounds: AnswerBounds | None = None
    ) -> PrometheusAnswer:
        """Return every series of the query on the grid, by one request that is retried if it fails.

        Raises:
            PrometheusError: the server refuses the query, cannot be reached, answers nonsense, or
                its answer is over the bounds.
        """
        bounds = bounds or AnswerBounds()
        attempts = self.settings.retries + 1
        self._max_bytes = bounds.max_bytes
        self._until = math.inf if bounds.within_s is None else time.monotonic() + bounds.within_s
        for attempt in range(1, attempts + 1):
            try:
                return self._ask(promql, grid)
            except RetryableError as failure:
                left = attempts - attempt
                wait_s = self._pacing.wait_s(attempt, failure.retry_after_s)
                too_long = failure.retry_after_s > self._pacing.max_retry_after_s
                if not left or too_long or time.monotonic() + wait_s >= self._until:
                    raise PrometheusAwayError(self._gave_up(failure, attempt)) from failure
                LOGGER.warning(
                    "%s: %s; retrying in %.1f s (%d attempts left)",
                    *(self.settings.url, failure, wait_s, left),
                )
                self._pacing.sleep(wait_s)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _gave_up(self, failure: RetryableError, attempts: int) -> str:
        if failure.retry_after_s > self._pacing.max_retry_after_s:
            return (
                f"{self.settings.url}: {failure}; it asks to come back in "
                f"{failure.retry_after_s:.0f} s, but the longest wait is "
                f"{self._pacing.max_retry_after_s:.0f} s: run the command again then"
            )
        return (
            f"{self.settings.url}: {failure} (attempt {attempts} of {attempts}); "
            "check the address and the server, or raise --timeout or --retries"
        )

    def _ask(self, promql: str, grid: QueryGrid) -> PrometheusAnswer:
        self._remarks, self.date = ((), ()), None
        left_s = max(self._until - time.monotonic(), MIN_TIMEOUT_S)
        timeout_s = min(self.settings.timeout.total_seconds(), left_s)
        try:
            results = self._client.custom_query_range(
                query=promql,
                start_time=datetime.fromtimestamp(grid.first, UTC),
                end_time=datetime.fromtimestamp(grid.last, UTC),
                step=str(grid.step),
                params={"timeout": f"{timeout_s * 1000:.0f}ms"},
                timeout=timeout_s,  # type: ignore[arg-type] # it takes any number
            )
            series = tuple(on_grid(result, grid) for result in results)
        except RefusedError as refused:
            raise PrometheusError(
                f"{self.settings.url} refused the query {shown(promql)}: {refused}"
            ) from refused
        except LongBodyError as error:
            raise PrometheusError(
                f"{self.settings.url}: the answer to the query {shown(promql)} {error}; sum it by "
                "fewer labels, e.g. sum(...), or ask for fewer samples at once (--chunk-points)"
            ) from error
        except requests.RequestException as error:
            raise translated(error, timeout_s, self.settings.url) from error
        except (PrometheusApiClientException, LookupError, TypeError, ValueError) as error:
            raise PrometheusError(
                f"{self.settings.url} answered the query {shown(promql)} with something that is "
                f"not a Prometheus range result ({one_line(str(error))}); "
                "give Prometheus's base URL"
            ) from error
        return PrometheusAnswer(series, *self._remarks)

    def _read(self, response: requests.Response, **_: object) -> None:
        self.date = answered_at(response.headers)
        try:
            body = read_body(response.raw, self._max_bytes, self._until)
        except (HTTPError, LongBodyError, LateBodyError) as error:
            response.close()  # the rest of it would stand before the next answer
            if isinstance(error, ReadTimeoutError | LateBodyError):
                raise RetryableError(f"the answer did not end in time: {error}") from error
            if isinstance(error, HTTPError):
                raise RetryableError("the answer broke off in the middle") from error
            raise
        response._content = body
        response._content_consumed = True  # type: ignore[attr-defined]

    def _check_response(self, response: requests.Response, **_: object) -> None:
        """Raise unless it is an answer; later, PrometheusConnect drops its status and headers."""
        if response.is_redirect:
            _refuse_other_server(response)
        elif response.status_code in {408, 429} or response.status_code >= 500:
            raise RetryableError(explanation(response), retry_after_s(response, self._pacing.now()))
        elif response.status_code != 200:
            said = explanation(response)
            fix = FIXES.get(response.status_code, "ask who runs the server")
            if response.status_code == 400 and RANGE_LIMIT.search(said):
                fix = FEWER
            raise RefusedError(f"{said}; {fix}")
        elif not response.content.lstrip().startswith(b"{"):
            raise RefusedError(
                f"the answer is not JSON but {one_line(response.text)!r}; "
                "is this a login page instead of Prometheus's base URL?"
            )
        elif ERROR.search(response.content[:ERROR_WITHIN]):
            said = explanation(response)
            if response.json().get("errorType") == "bad_data":
                raise RefusedError(f"{said}; {FIXES[400]}")
            raise RetryableError(said)
        elif REMARKED.search(response.content):
            self._remarks = remarks(response.json())


class _Session(requests.Session):
    def request(  # type: ignore[override] # PrometheusConnect gives no more by position
        self,
        method: str,
        url: str,
        params: dict[str, str] | None = None,
        **more: Any,  # noqa: ANN401 - theirs
    ) -> requests.Response:
        """Send what is too long for a URL in the body."""
        if len(urlencode(params or {})) > LONGEST_URL:
            return super().request("POST", url, data=params, **more)
        return super().request(method, url, params=params, **more)

    def rebuild_auth(self, *_: object) -> None:
        """Keep the credentials: `_check_response` has refused every redirect to another server."""


def _refuse_other_server(response: requests.Response) -> None:
    target = urljoin(response.url, response.headers["location"])
    if _origin(target) != _origin(response.url):
        scheme, host, port = _origin(target)
        response.close()
        raise RefusedError(
            f"it redirects to another server, {scheme}://{host}:{port}, which gets no credentials; "
            "if that is the Prometheus you mean, give it as --prometheus"
        )


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)

"""One HTTP server: a question in, its answer as JSON out, or a plain word of why not.

What a server says of its failures is never passed on: it may hold the prompt, which is about a customer, or the key.
"""

from __future__ import annotations

import asyncio
import json
import math
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, Self

import httpx

from trainer.deciders.language.breaker import CircuitBreaker
from trainer.deciders.language.model import AdapterMissing, ModelUnavailable, QuestionRejected
from trainer.deciders.openai.retries import retry_after_s, wait_s
from trainer.deciders.openai.settings import OpenAISettings
from trainer.deciders.openai.slots import Slots

PASSING = frozenset({429, 502, 503, 504})
REJECTED = frozenset({400, 413, 422})
MISSING = 404
# Shorter than servers keep an idle connection (uvicorn: 5 s), so that no question is sent into one that is closing.
IDLE_CONNECTION_S = 4.0


class _Passing(Exception):  # noqa: N818 - it never leaves this module
    """It may be asked again: nothing was done, or doing it twice does no harm."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class Server:
    """Asks one server. To be made, used and closed on one event loop."""

    def __init__(self, settings: OpenAISettings, chance: Random | None = None) -> None:
        """Raises `ValueError` if the authorities' file cannot be read."""
        self.breaker = CircuitBreaker(settings.breaker)
        self._settings = settings
        self._slots = Slots(settings.in_flight_max)
        self._chance = chance or Random()
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        if settings.api_key is not None:
            headers["Authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
        self._client = httpx.AsyncClient(
            headers=headers,
            verify=_tls(settings),
            trust_env=False,  # no proxy, no password file and no authorities that nobody set here
            follow_redirects=False,  # the key goes to this server and no other
            timeout=httpx.Timeout(settings.total_s, connect=settings.connect_s),
            limits=httpx.Limits(max_connections=settings.in_flight_max, keepalive_expiry=IDLE_CONNECTION_S),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Questions that are on them fail."""
        await self._client.aclose()

    async def post(self, url: str, question: Mapping[str, Any], priority: int = 0) -> Any:
        """The JSON that answers this JSON.

        Raises:
            ModelUnavailable: no usable answer came in time, or nobody asked because too many failed.
            AdapterMissing: of that kind; the server is well and does not know the model that was named.
            QuestionRejected: the server will not answer this.
        """
        content = json.dumps(question, ensure_ascii=False).encode("utf-8", errors="replace")
        try:
            async with asyncio.timeout(self._settings.total_s) as limit, self._slots.taken(priority):
                return await self._guarded(url, content, limit)
        except TimeoutError:
            raise ModelUnavailable(f"no answer within {self._settings.total_s} s") from None

    async def _guarded(self, url: str, content: bytes, limit: asyncio.Timeout) -> Any:
        """One question through the breaker, which learns how it ended."""
        call = self.breaker.admit()
        try:
            answer = await self._persistently(url, content, limit)
        except asyncio.CancelledError:
            if limit.expired():
                call.failed()
            raise
        except AdapterMissing:
            raise
        except ModelUnavailable:
            call.failed()
            raise
        else:
            call.succeeded()
            return answer
        finally:
            call.withdrawn()  # nothing was told: the question was bad, or taken back

    async def _persistently(self, url: str, content: bytes, limit: asyncio.Timeout) -> Any:
        retries = self._settings.retries
        for attempt in range(retries.retries_max + 1):
            try:
                return await self._once(url, content)
            except _Passing as passing:
                wait = wait_s(retries, attempt, passing.after_s, self._chance)
                is_late = asyncio.get_running_loop().time() + wait >= (limit.when() or math.inf)
                if attempt == retries.retries_max or is_late:
                    raise ModelUnavailable(f"{passing}, asked {attempt + 1} times") from None
            await asyncio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, url: str, content: bytes) -> Any:
        try:
            async with self._client.stream("POST", url, content=content) as response:
                _check(response)
                return _parsed(await self._read(response))
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise _Passing("the server cannot be reached") from None
        except httpx.TimeoutException:
            raise ModelUnavailable("the server took too long") from None
        except (httpx.HTTPError, httpx.StreamError):
            raise ModelUnavailable("the connection broke before the answer was there") from None

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > self._settings.body_max:
                raise ModelUnavailable(f"the answer is longer than {self._settings.body_max} bytes")
        return bytes(body)


def _check(response: httpx.Response) -> None:
    status = response.status_code
    if status in PASSING:
        after = retry_after_s(response.headers.get("Retry-After"), datetime.now(UTC))
        raise _Passing(f"the server answered {status}", after)
    if status in REJECTED:
        raise QuestionRejected(f"the server answered {status}: it does not take this question")
    if status == MISSING:
        raise AdapterMissing("the server answered 404: it has no such model, or no such API")
    if status != 200:
        raise ModelUnavailable(f"the server answered {status}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ModelUnavailable("the answer is compressed, which nobody asked for; it could be of any size")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ModelUnavailable("the answer is no JSON") from None


def _tls(settings: OpenAISettings) -> ssl.SSLContext:
    try:
        if settings.authorities is None:
            return httpx.create_ssl_context(trust_env=False)
        return ssl.create_default_context(cafile=str(settings.authorities))
    except OSError as error:  # of which `ssl.SSLError` is one
        raise ValueError(f"the authorities in {settings.authorities} cannot be read: {error}") from None

"""A real HTTP server on loopback that answers as a test tells it, well or badly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from trainer.deciders.language.breaker import BreakerSettings
from trainer.deciders.openai.retries import RetrySettings
from trainer.deciders.openai.settings import OpenAISettings

KEY = "sk-test-4f1d0c7a-never-shown"
MODEL = "shop-model"
TOKEN_IDS = {"YES": 11, "NO": 12, **{letter: 20 + place for place, letter in enumerate("ABCDEFGHIJ")}}


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    """What goes back: a JSON value, or raw bytes; `cut` closes the connection after half of it."""

    value: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    delay_s: float = 0.0
    cut: bool = False

    def to_bytes(self) -> bytes:
        """The whole response."""
        body = self.raw if self.raw is not None else json.dumps(self.value).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


Answer = Callable[[Asked], Reply | Awaitable[Reply]]


class ScriptedServer:
    """Serves while it is a context. `script` is used up first, then `answer` has every request."""

    def __init__(self, *script: Reply, answer: Answer | None = None) -> None:
        self.asked: list[Asked] = []
        self.at_once = self.at_once_most = 0
        self.answer: Answer = answer or (lambda _: completion({"YES": -0.1, "NO": -2.5}))
        self._script = list(script)
        self._server: asyncio.Server
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        tasks = [task for task in self._tasks if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """The API's root."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    @property
    def completions(self) -> list[Asked]:
        """The questions, without the look-ups of tokens."""
        return [asked for asked in self.asked if asked.path == "/v1/completions"]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)
        try:
            while True:
                asked = await _read(reader)
                self.asked.append(asked)
                self.at_once += 1
                self.at_once_most = max(self.at_once_most, self.at_once)
                try:
                    await self._reply(asked, writer)
                finally:
                    self.at_once -= 1
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _reply(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.path == "/tokenize":
            reply = Reply({"tokens": [TOKEN_IDS[asked.body["prompt"]]], "count": 1})
        elif self._script:
            reply = self._script.pop(0)
        else:
            said = self.answer(asked)
            reply = said if isinstance(said, Reply) else await said
        await asyncio.sleep(reply.delay_s)
        whole = reply.to_bytes()
        writer.write(whole[: len(whole) // 2] if reply.cut else whole)
        await writer.drain()
        if reply.cut:
            raise ConnectionAbortedError


def completion(logprobs: dict[str, float] | None = None, text: str = "YES") -> Reply:
    """An answer as completions have it."""
    told = None if logprobs is None else {"tokens": [text], "top_logprobs": [logprobs]}
    return Reply({"object": "text_completion", "choices": [{"index": 0, "text": text, "logprobs": told}]})


def by_ids(logprobs: dict[str, float]) -> Reply:
    """The same as vLLM has it that is asked for ids."""
    return completion({f"token_id:{TOKEN_IDS[token]}": logprob for token, logprob in logprobs.items()})


def settings(url: str, **changes: Any) -> OpenAISettings:
    """For a test: impatient, and with a breaker that only opens where the test is about it."""
    values: dict[str, Any] = {
        "url": url,
        "model": MODEL,
        "api_key": SecretStr(KEY),
        "dialect": "openai",
        "connect_s": 1.0,
        "total_s": 20.0,
        "retries": RetrySettings(retries_max=2, first_s=0.001, longest_s=0.002),
        "breaker": BreakerSettings(calls_min=1_000),
    }
    return OpenAISettings(**values | changes)


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(head[0].split(" ")[1], headers, json.loads(body))

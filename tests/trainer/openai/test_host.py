"""The model on a loop of its own: asked from a thread without one, and let go of with questions at the server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager

import pytest

from tests.trainer.openai.scripted_server import Reply, ScriptedServer, completion, settings
from trainer.deciders.language.breaker import BreakerSettings
from trainer.deciders.language.model import ModelUnavailable
from trainer.deciders.openai.host import OpenAIHost


@contextmanager
def hosted(server: ScriptedServer) -> Iterator[OpenAIHost]:
    """A host of a model behind this server, which runs on a loop of its own too."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="scripted")
    thread.start()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    host = OpenAIHost(settings(server.url, breaker=BreakerSettings(calls_min=2, open_s=60)))
    try:
        yield host
    finally:
        host.close()
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_it_is_asked_from_any_thread() -> None:
    server = ScriptedServer(completion({"YES": -0.1, "NO": -2.5}))
    with hosted(server) as host:
        assert host.submit(host.model.p_yes("question", None, 0)).result(20).p_yes > 0.9
        assert (host.name, host.version, host.why_away) == ("openai", "shop-model", "")


def test_it_says_why_the_server_is_not_asked() -> None:
    with hosted(ScriptedServer(answer=lambda _: Reply(None, 500))) as host:
        for _ in range(2):
            with pytest.raises(ModelUnavailable):
                host.submit(host.model.p_yes("question", None, 0)).result(20)
        assert host.why_away == "the server failed too often"


def test_questions_at_the_server_are_taken_back_when_it_closes() -> None:
    with hosted(ScriptedServer(answer=lambda _: Reply(None, delay_s=600))) as host:
        asked = [host.submit(host.model.p_yes("question", None, 0)) for _ in range(3)]
        host.close()
        for each in asked:
            with pytest.raises(CancelledError):
                each.result(20)
        with pytest.raises(ModelUnavailable, match="let go"):
            host.submit(host.model.p_yes("question", None, 0))

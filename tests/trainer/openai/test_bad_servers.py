"""A server that behaves badly: every failure has a plain name, none hangs, and the key is in no message and no log."""

from __future__ import annotations

import asyncio
import gzip
import logging
import ssl
from typing import Any

import pytest

from tests.trainer.openai.scripted_server import KEY, Asked, Reply, ScriptedServer, completion, settings
from trainer.deciders.language.breaker import BreakerSettings, State
from trainer.deciders.language.model import AdapterMissing, ModelUnavailable, QuestionRejected
from trainer.deciders.openai.model import OpenAIModel
from trainer.deciders.openai.retries import RetrySettings

PROMPT = "customer 742 bought milk"
GOOD = completion({"YES": -0.1, "NO": -2.5})
ECHO = {
    "error": {"message": f"Bearer {KEY} asked: {PROMPT}", "code": KEY}
}  # a server that tells on everybody

BAD: dict[str, tuple[Reply, type[Exception], str]] = {
    "500": (Reply(ECHO, 500), ModelUnavailable, "500"),
    "401": (Reply(ECHO, 401), ModelUnavailable, "401"),
    "redirect": (Reply(ECHO, 307, {"Location": "http://127.0.0.1:9/"}), ModelUnavailable, "307"),
    "wrong model": (Reply(ECHO, 404), ModelUnavailable, "no model of the name"),
    "too long": (Reply(ECHO, 400), QuestionRejected, "400"),
    "cut": (Reply(ECHO, cut=True), ModelUnavailable, "broke"),
    "no JSON": (Reply(raw=b"<html>oops " + KEY.encode()), ModelUnavailable, "no JSON"),
    "bad bytes": (Reply(raw=b"\xff\xfe{"), ModelUnavailable, "no JSON"),
    "deep": (Reply(raw=b"[" * 200_000), ModelUnavailable, "no JSON"),
    "other JSON": (Reply([ECHO]), ModelUnavailable, "not the form"),
    "no choices": (Reply({"choices": []}), ModelUnavailable, "choices"),
    "no logprobs": (completion(None), ModelUnavailable, "no log probabilities"),
    "empty logprobs": (completion({}), ModelUnavailable, "no log probabilities"),
    "text for a number": (
        Reply({"choices": [{"text": "", "logprobs": {"top_logprobs": [{"YES": KEY}]}}]}),
        ModelUnavailable,
        "not the form",
    ),
    "NaN": (completion({"YES": float("nan")}), ModelUnavailable, "not the form"),
    "above 1": (completion({"YES": 3.0}), ModelUnavailable, "not the form"),
    "huge": (Reply(raw=b" " * 3_000_000), ModelUnavailable, "longer than"),
    "compressed": (
        Reply(raw=gzip.compress(b" " * 3_000_000), headers={"Content-Encoding": "gzip"}),
        ModelUnavailable,
        "compressed",
    ),
    "not HTTP": (Reply(headers={"Content-Length": "x"}), ModelUnavailable, "broke"),
}


async def ask(server: ScriptedServer, **changes: Any) -> float:
    """P(YES) of one question."""
    async with server, OpenAIModel(settings(server.url, **changes)) as model:
        return (await model.p_yes(PROMPT, None, 0)).p_yes


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_is_named_and_nothing_of_it_is_passed_on(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    reply, kind, word = BAD[name]
    server = ScriptedServer(reply)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(kind, match=word) as caught:
        asyncio.run(ask(server))
    assert len(server.asked) == 1  # none of these may be asked again
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    shown = "".join(
        [str(caught.value), repr(caught.value), repr(settings("https://models.example/v1")), caplog.text]
    )
    shown += str(caught.value.__cause__ or "") + "".join(str(record.args) for record in caplog.records)
    assert KEY not in shown
    assert PROMPT not in str(caught.value)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_passes_is_asked_again(status: int) -> None:
    server = ScriptedServer(Reply(ECHO, status), Reply(ECHO, status, {"Retry-After": "0"}), GOOD)
    assert asyncio.run(ask(server)) > 0.5
    assert len(server.asked) == 3


def test_it_is_not_asked_for_ever() -> None:
    server = ScriptedServer(answer=lambda _: Reply(ECHO, 503))
    with pytest.raises(ModelUnavailable, match="503, asked 3 times"):
        asyncio.run(ask(server))
    assert len(server.asked) == 3


def test_a_server_that_wants_a_longer_wait_than_there_is_time_is_given_up_at_once() -> None:
    server = ScriptedServer(Reply(ECHO, 429, {"Retry-After": "3600"}), GOOD)
    with pytest.raises(ModelUnavailable, match="429, asked 1 times"):
        asyncio.run(ask(server))
    assert len(server.asked) == 1


def test_nobody_there() -> None:
    async def asking() -> None:
        async with ScriptedServer() as server:
            url = server.url
        async with OpenAIModel(settings(url)) as model:
            with pytest.raises(ModelUnavailable, match="cannot be reached, asked 3 times"):
                await model.p_yes(PROMPT, None, 0)

    asyncio.run(asking())


def test_a_slow_server_is_waited_for_so_long_and_asked_once() -> None:
    server = ScriptedServer(Reply({}, delay_s=60))
    with pytest.raises(ModelUnavailable, match=r"no answer within|too long"):
        asyncio.run(ask(server, total_s=0.2))
    assert len(server.asked) == 1


def test_an_answer_that_comes_by_the_byte_is_not_waited_for_for_ever() -> None:
    server = ScriptedServer()

    async def trickle(asked: Asked, writer: asyncio.StreamWriter) -> None:
        for byte in GOOD.to_bytes():
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    server._reply = trickle  # type: ignore[method-assign]
    with pytest.raises(ModelUnavailable, match="no answer within"):
        asyncio.run(ask(server, total_s=0.5))


def test_a_server_whose_certificate_nobody_signed_is_not_spoken_to() -> None:
    async def asking() -> None:
        async with ScriptedServer() as server:  # speaks no TLS at all, the least trusted of all
            url = server.url.replace("http:", "https:")
            async with OpenAIModel(settings(url)) as model:
                assert model._server._client._transport._pool._ssl_context.verify_mode is ssl.CERT_REQUIRED  # type: ignore[attr-defined]
                with pytest.raises(ModelUnavailable, match="cannot be reached"):
                    await model.p_yes(PROMPT, None, 0)

    asyncio.run(asking())


def test_so_many_at_a_time_and_the_urgent_first() -> None:
    gate = asyncio.Event()

    async def answer(asked: Asked) -> Reply:
        await gate.wait()
        return GOOD

    async def asking() -> list[str]:
        server = ScriptedServer(answer=answer)
        async with server, OpenAIModel(settings(server.url, in_flight_max=2)) as model:
            tasks = []
            for number, priority in enumerate([1, 1, 1, 1, 9]):
                tasks.append(asyncio.create_task(model.p_yes(f"question {number}", None, priority)))
                await asyncio.sleep(0)
            tasks[2].cancel()  # one that waits for its turn gives it up
            while len(server.asked) < 2:
                await asyncio.sleep(0.001)
            gate.set()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert server.at_once_most == 2
            return [asked.body["prompt"].removeprefix("question ") for asked in server.asked]

    order = asyncio.run(asking())
    assert sorted(order[:2]) == ["0", "1"]
    assert order[2:] == ["4", "3"]


def test_a_question_that_waits_too_long_for_its_turn_says_so_and_leaves_the_place_usable() -> None:
    async def asking() -> None:
        server = ScriptedServer(Reply({}, delay_s=60))
        async with server, OpenAIModel(settings(server.url, in_flight_max=1, total_s=0.3)) as model:
            said = await asyncio.gather(
                *(model.p_yes(PROMPT, None, 0) for _ in range(3)), return_exceptions=True
            )
            assert [type(each) for each in said] == [ModelUnavailable] * 3
            assert (await model.p_yes(PROMPT, None, 0)).p_yes > 0.5

    asyncio.run(asking())


FAILING = BreakerSettings(calls_min=4, failure_share=0.5, open_s=0.05)


def test_after_many_failures_the_server_is_left_alone_and_tried_again() -> None:
    async def asking() -> None:
        server = ScriptedServer(*[Reply(ECHO, 500)] * 4)
        async with server, OpenAIModel(settings(server.url, breaker=FAILING)) as model:
            for _ in range(4):
                assert model.breaker.state is State.CLOSED
                with pytest.raises(ModelUnavailable):
                    await model.p_yes(PROMPT, None, 0)
            assert model.breaker.opened == 1
            while model.breaker.state is State.OPEN:
                with pytest.raises(ModelUnavailable, match="not asked"):
                    await model.p_yes(PROMPT, None, 0)
                await asyncio.sleep(0.01)
            assert len(server.asked) == 4
            assert (await model.p_yes(PROMPT, None, 0)).p_yes > 0.5
            assert model.breaker.state is State.CLOSED

    asyncio.run(asking())


@pytest.mark.parametrize("status", [400, 404])
def test_bad_questions_and_missing_adapters_say_nothing_of_the_server(status: int) -> None:
    async def asking() -> State:
        server = ScriptedServer(answer=lambda _: Reply(ECHO, status))
        async with server, OpenAIModel(settings(server.url, breaker=FAILING)) as model:
            for _ in range(12):
                with pytest.raises((QuestionRejected, AdapterMissing)):
                    await model.p_yes(PROMPT, "families@3", 0)
            return model.breaker.state

    assert asyncio.run(asking()) is State.CLOSED


def test_questions_taken_back_say_nothing_of_the_server() -> None:
    async def asking() -> State:
        server = ScriptedServer(answer=lambda _: Reply({}, delay_s=60))
        async with server, OpenAIModel(settings(server.url, breaker=FAILING)) as model:
            for _ in range(8):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await model.p_yes(PROMPT, None, 0)
            return model.breaker.state

    assert asyncio.run(asking()) is State.CLOSED


def test_a_server_that_is_slow_every_time_opens_the_circuit() -> None:
    async def asking() -> State:
        server = ScriptedServer(answer=lambda _: Reply({}, delay_s=60))
        slow = BreakerSettings(calls_min=4, open_s=600)
        async with server, OpenAIModel(settings(server.url, breaker=slow, total_s=0.1)) as model:
            await asyncio.gather(*(model.p_yes(PROMPT, None, 0) for _ in range(4)), return_exceptions=True)
            return model.breaker.state

    assert asyncio.run(asking()) is State.OPEN


def test_retries_may_be_switched_off() -> None:
    server = ScriptedServer(Reply(ECHO, 503), GOOD)
    with pytest.raises(ModelUnavailable, match="asked 1 times"):
        asyncio.run(ask(server, retries=RetrySettings(retries_max=0)))

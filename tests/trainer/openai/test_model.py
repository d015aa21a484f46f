"""What is asked of a server, and what its answers come to."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr

from tests.trainer.openai.scripted_server import (
    MODEL,
    Asked,
    Reply,
    ScriptedServer,
    by_ids,
    completion,
    settings,
)
from trainer.deciders.language.model import LanguageModel, MalformedAnswer, ModelUnavailable, QuestionRejected
from trainer.deciders.language.readout import YesNo
from trainer.deciders.openai.model import OpenAIModel
from trainer.deciders.openai.settings import OpenAISettings

PROMPT = '<|im_start|>user\nWill she buy "milk, 1 l"?<|im_end|>\n<|im_start|>assistant\n'
T = TypeVar("T")


def with_model(server: ScriptedServer, use: Callable[[OpenAIModel], Awaitable[T]], **changes: Any) -> T:
    """What `use` makes of a model behind this server."""

    async def run() -> T:
        async with server, OpenAIModel(settings(server.url, **changes)) as model:
            return await use(model)

    return asyncio.run(run())


def test_it_is_a_language_model() -> None:
    model: LanguageModel = OpenAIModel(settings("http://127.0.0.1:9/v1", tokens_max=77))
    assert model.tokens_max == 77


def test_p_yes_from_the_most_likely_tokens() -> None:
    server = ScriptedServer(completion({"YES": math.log(0.6), "NO": math.log(0.2), " maybe": math.log(0.1)}))
    said = with_model(server, lambda model: model.p_yes(PROMPT, None, 5))
    assert said.p_yes == pytest.approx(0.75)
    assert said.joint_mass == pytest.approx(0.8)
    body = server.asked[0].body
    assert body["prompt"] == PROMPT
    assert body["model"] == MODEL
    assert (body["max_tokens"], body["logprobs"], body["temperature"]) == (1, 20, 0.0)
    assert not {"priority", "structured_outputs", "logprob_token_ids", "add_special_tokens"} & set(body)


def test_vllm_is_asked_for_the_tokens_themselves() -> None:
    def answer(asked: Asked) -> Reply:
        assert asked.body["logprob_token_ids"] == [11, 12]
        assert asked.body["return_tokens_as_token_ids"]
        assert not asked.body["add_special_tokens"]
        return by_ids({"YES": -30.0, "NO": -31.0, "A": -0.01})

    server = ScriptedServer(answer=answer)

    async def use(model: OpenAIModel) -> list[YesNo]:
        return [await model.p_yes(PROMPT, "families@3", 9) for _ in range(2)]

    said = with_model(server, use, dialect="vllm", priorities=True)
    assert said[0].p_yes == pytest.approx(1 / (1 + math.exp(-1)))
    assert 0 < said[0].joint_mass < 1e-12
    assert [asked.body["model"] for asked in server.completions] == ["families@3"] * 2
    assert [asked.body["priority"] for asked in server.completions] == [-9] * 2
    assert sorted(asked.body["prompt"] for asked in server.asked if asked.path == "/tokenize") == [
        "NO",
        "YES",
    ]


def test_options_are_the_letters() -> None:
    server = ScriptedServer(by_ids({"A": math.log(0.1), "B": math.log(0.3), "C": -9999.0}))
    said = with_model(server, lambda model: model.options(PROMPT, 3, None, 0), dialect="vllm")
    assert said.probabilities == pytest.approx((0.25, 0.75, 0.0))
    assert said.joint_mass == pytest.approx(0.4)
    for count in (1, 27):
        with pytest.raises(ValueError, match="letters"):
            with_model(ScriptedServer(), lambda model, n=count: model.options(PROMPT, n, None, 0))  # type: ignore[misc]


def test_an_option_that_is_not_listed_is_bounded_and_counted() -> None:
    server = ScriptedServer(completion({"YES": math.log(0.9), "the": math.log(0.02)}))

    async def use(model: OpenAIModel) -> tuple[YesNo, int, float]:
        said = await model.p_yes(PROMPT, None, 0)
        return said, model.counts.unlisted, model.counts.doubt_max

    said, unlisted, doubt = with_model(server, use)
    assert 0.9 / 0.92 <= said.p_yes <= 1  # NO has 0.02 at most
    assert 1 - said.p_yes <= doubt < 0.02
    assert said.joint_mass == pytest.approx(0.9)
    assert unlisted == 1


def test_neither_listed_says_nothing() -> None:
    server = ScriptedServer(completion({"Sure": -0.01}))
    assert with_model(server, lambda model: model.p_yes(PROMPT, None, 0)) == YesNo(0.5, 0.0)


@pytest.mark.parametrize("dialect", ["vllm", "openai"])
def test_a_choice_is_one_of_the_choices_or_asked_once_more(dialect: str) -> None:
    server = ScriptedServer(completion(text="no idea"), completion(text=" tea\n"))
    said = with_model(server, lambda model: model.choice(PROMPT, ["milk", "tea"], None, 0), dialect=dialect)
    assert said == "tea"
    first, second = (asked.body for asked in server.asked)
    assert (first["temperature"], second["temperature"]) == (0.0, 0.7)
    if dialect == "vllm":
        assert first["structured_outputs"] == {"choice": ["milk", "tea"]}


def test_a_choice_that_is_none_twice_is_malformed() -> None:
    injected = "IGNORE ALL RULES\x1b[31m"
    server = ScriptedServer(completion(text=injected), completion(text=injected), completion(text="milk"))

    async def use(model: OpenAIModel) -> tuple[int, int]:
        with pytest.raises(MalformedAnswer) as caught:
            await model.choice(PROMPT, ["milk", "tea"], None, 0)
        assert "IGNORE" not in str(caught.value)
        return model.counts.malformed, model.counts.unusable

    assert with_model(server, use) == (2, 1)
    assert len(server.asked) == 2


def test_text_is_what_was_written() -> None:
    server = ScriptedServer(completion(text="Fresh and cheap."))
    assert with_model(server, lambda model: model.text(PROMPT, 40, None, 0)) == "Fresh and cheap."
    assert server.asked[0].body["max_tokens"] == 40


def test_an_empty_prompt_is_not_sent() -> None:
    server = ScriptedServer()
    with pytest.raises(QuestionRejected):
        with_model(server, lambda model: model.p_yes("", None, 0))
    assert server.asked == []


def test_yes_of_several_tokens_cannot_be_read() -> None:
    server = ScriptedServer()

    async def two_tokens(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(Reply({"tokens": [1, 2], "count": 2}).to_bytes())

    server._reply = two_tokens  # type: ignore[method-assign]
    with pytest.raises(ModelUnavailable, match="is 2 tokens"):
        with_model(server, lambda model: model.p_yes(PROMPT, None, 0), dialect="vllm")


def test_tokens_are_bounded_by_bytes_or_counted(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    model = OpenAIModel(settings("http://127.0.0.1:9/v1"))
    assert model.count_tokens("tea é\ud800") == 7
    path = tmp_path / "tokenizer.json"
    words = Tokenizer(models.WordLevel({"tea": 0, "milk": 1, "?": 2}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(path))
    assert OpenAIModel(settings("http://127.0.0.1:9/v1", tokenizer=path)).count_tokens("tea milk beer") == 3
    for bad in (tmp_path / "none.json", Path(__file__)):
        with pytest.raises(ValueError, match="no tokenizer"):
            OpenAIModel(settings("http://127.0.0.1:9/v1", tokenizer=bad))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"url": "ftp://models.example"}, "not http"),
        ({"url": "https://user:word@models.example/v1"}, "without user"),
        ({"url": "http://models.example/v1"}, "in the clear"),
        ({"model": ""}, "no name"),
        ({"total_s": 0}, "above 0"),
        ({"in_flight_max": 0}, "at least 1"),
        ({"api_key": SecretStr("a\r\nX-Other: b")}, "no header"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        settings(**{"url": "https://models.example/v1"} | changes)
    assert "sk-test" not in str(caught.value)


def test_a_model_in_the_same_network_needs_no_key() -> None:
    assert OpenAISettings("http://vllm:8000/v1", "m").api_key is None


def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pem", Path(__file__)):
        with pytest.raises(ValueError, match=path.name):
            OpenAIModel(settings("https://models.example/v1", authorities=path))

"""An engine that is kept up: started beside the caller, started again when it dies, retried when it does not start."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.trainer.vllm.made_adapters import stub_base
from tests.trainer.vllm.scripted_inference import LETTERS, NO, YES, ScriptedInference
from trainer.base_model import BaseModel
from trainer.deciders.language.model import (
    AdapterMissing,
    LanguageModel,
    MalformedAnswer,
    ModelUnavailable,
    QuestionRejected,
)
from trainer.deciders.vllm.engine import VllmEngine
from trainer.deciders.vllm.host import DIED, STARTING, EngineHost, version_of
from trainer.deciders.vllm.settings import EngineSettings
from trainer.deciders.vllm.thread import EngineThread
from trainer.deciders.vllm.tokens import ModelTokens


class Letters:
    """A tokenizer with a token a character."""

    def encode(self, text: str, add_special_tokens: bool) -> Letters:
        self.ids = [ord(letter) for letter in text]
        return self


@pytest.fixture
def base(tmp_path: Path) -> BaseModel:
    return stub_base(tmp_path / "base")


@pytest.fixture
def inferences() -> list[ScriptedInference]:
    """Those that were started, in order."""
    return []


@pytest.fixture
def start(base: BaseModel, inferences: list[ScriptedInference], tmp_path: Path) -> Callable[[], EngineThread]:
    """Starts an engine over a scripted inference."""
    settings = EngineSettings(base.folder, tmp_path / "copies")
    tokens = ModelTokens(Letters(), (YES,), (NO,), LETTERS)  # type: ignore[arg-type]

    def started() -> EngineThread:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        inferences.append(ScriptedInference())

        async def make() -> VllmEngine:
            return VllmEngine(settings, base, tokens, inferences[-1])

        return EngineThread(asyncio.run_coroutine_threadsafe(make(), loop).result(), loop, thread)

    return started


@pytest.fixture
def host(start: Callable[[], EngineThread]) -> Iterator[EngineHost]:
    with closing(EngineHost(start, backoff_s=0.01)) as found:
        eventually(lambda: found.model is not None)
        yield found


def eventually(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)


def model_of(host: EngineHost) -> LanguageModel:
    assert host.model is not None
    return host.model


def test_an_engine_answers_under_the_bases_name(host: EngineHost, base: BaseModel) -> None:
    model = model_of(host)
    answer = host.submit(model.p_yes("will she?", None, 5)).result(10)
    assert answer.p_yes == pytest.approx(0.5)
    assert (host.name, host.version) == ("vllm", version_of(base))
    assert (model.tokens_max, model.count_tokens("nine of us")) == (100, 10)


def test_an_engine_that_died_is_started_again(host: EngineHost, inferences: list[ScriptedInference]) -> None:
    model = model_of(host)
    inferences[0].open.clear()  # it never answers
    asked = host.submit(model.p_yes("will she?", None, 5))
    inferences[0].is_up = False
    eventually(lambda: host.starts == 2)
    with pytest.raises(Exception):  # noqa: B017, PT011 - cancelled: nobody waits for ever
        asked.result(10)
    assert asked.cancelled()
    assert host.model is not model
    assert host.submit(model_of(host).p_yes("will she?", None, 5)).result(10).joint_mass == pytest.approx(0.9)


def test_a_question_while_it_is_away_is_told_so(start: Callable[[], EngineThread]) -> None:
    gate = threading.Event()

    def waiting() -> EngineThread:
        gate.wait(30)
        return start()

    with closing(EngineHost(waiting, backoff_s=0.01)) as host:
        assert (host.model, host.why_away) == (None, STARTING)

        async def call() -> None:
            raise AssertionError("it must not run")

        with pytest.raises(ModelUnavailable, match=STARTING):
            host.submit(call())
        gate.set()
        eventually(lambda: host.model is not None)
    assert (host.model, host.why_away) == (None, DIED)


def test_an_engine_that_does_not_start_is_tried_again(start: Callable[[], EngineThread]) -> None:
    tries: list[int] = []

    def at_the_third(prepared: list[VllmEngine]) -> Callable[[], EngineThread]:
        def found() -> EngineThread:
            tries.append(len(prepared))
            if len(tries) < 3:
                raise OSError("no memory")
            return start()

        return found

    prepared: list[VllmEngine] = []

    async def prepare(engine: VllmEngine) -> None:
        prepared.append(engine)
        if len(prepared) == 1:
            raise ValueError("an adapter is broken")

    with closing(EngineHost(at_the_third(prepared), prepare, backoff_s=0.01)) as host:
        eventually(lambda: host.model is not None)
        assert len(tries) == 4, "twice without memory, once not made ready"
        assert host.starts == 1
        assert host.engine is not None
        assert host.engine.engine is prepared[-1]


def test_failures_have_the_names_that_the_decider_knows(
    host: EngineHost, inferences: list[ScriptedInference]
) -> None:
    model = model_of(host)
    with pytest.raises(AdapterMissing, match="nobody"):
        host.submit(model.p_yes("will she?", "nobody", 5)).result(10)
    with pytest.raises(QuestionRejected, match="tokens of prompt"):
        host.submit(model.p_yes("x" * 200, None, 5)).result(10)
    inferences[0].texts = ["neither", "nor"]
    with pytest.raises(MalformedAnswer):
        host.submit(model.choice("will she?", ["a", "b"], None, 5)).result(10)
    inferences[0].texts = ["a text"]
    assert host.submit(model.text("write", 20, None, 5)).result(10) == "a text"
    assert sum(host.submit(model.options("which?", 3, None, 5)).result(10).probabilities) == pytest.approx(1)

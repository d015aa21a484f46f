"""The decider's model over HTTP against vLLM's own server: what it says is what `transformers` says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from pydantic import SecretStr

from tests.trainer.vllm.made_adapters import Made, random_adapter
from tests.trainer.vllm.reference import Reference
from tests.trainer.vllm.served import ADAPTER, BASE_NAME, KEY, Served, VllmServer
from tests.trainer.vllm.shop_model import GOODS, prompt_texts
from trainer.base_model import TOKENIZER, BaseModel
from trainer.deciders.language.breaker import BreakerSettings, State
from trainer.deciders.language.model import AdapterMissing, ModelUnavailable, QuestionRejected
from trainer.deciders.language.readout import Scored, YesNo
from trainer.deciders.openai.adapter_host import OpenAIAdapters
from trainer.deciders.openai.host import OpenAIHost
from trainer.deciders.openai.model import OpenAIModel
from trainer.deciders.openai.settings import OpenAISettings
from trainer.deciders.vllm.errors import AdapterError, Reason
from trainer.deciders.vllm.tokens import ModelTokens

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]
TOLERANCE = 0.02
T = TypeVar("T")


@pytest.fixture(scope="module")
def server(served: Served) -> VllmServer:
    served.server.wait()
    return served.server


@pytest.fixture(scope="module")
def adapter(served: Served) -> Made:
    return served.adapter


@pytest.fixture(scope="module")
def folder(served: Served) -> Path:
    return served.folder


def reach(server: VllmServer, base: BaseModel, **changes: Any) -> OpenAISettings:
    wanted = {"tokenizer": base.folder / TOKENIZER, "tokens_max": 1_024, "priorities": True, "total_s": 120.0}
    return OpenAISettings(server.url, BASE_NAME, **{"api_key": SecretStr(KEY), **wanted, **changes})


def ask(server: VllmServer, base: BaseModel, use: Callable[[OpenAIModel], Awaitable[T]], **changes: Any) -> T:
    """What `use` makes of a model behind the server."""

    async def run() -> T:
        async with OpenAIModel(reach(server, base, **changes)) as model:
            return await use(model)

    return asyncio.run(run())


def test_p_yes_and_options_are_what_transformers_says(
    server: VllmServer, shop_base: BaseModel, tokens: ModelTokens, reference: Reference, adapter: Made
) -> None:
    texts = prompt_texts(40, seed=51)
    ids = [tokens.encode(text) for text in texts]

    async def use(model: OpenAIModel) -> tuple[list[YesNo], list[Scored]]:
        assert [model.count_tokens(text) for text in texts] == [len(each) for each in ids]
        asked = [model.p_yes(text, name, 5) for name in (None, ADAPTER) for text in texts]
        options = [model.options(text, 10, ADAPTER, 5) for text in texts[:10]]
        return list(await asyncio.gather(*asked)), list(await asyncio.gather(*options))

    said, scored = ask(server, shop_base, use)
    base, tuned = reference.yes_no(ids), reference.yes_no(ids, adapter)
    assert np.mean([abs(x.p_yes - y.p_yes) for x, y in zip(base, tuned, strict=True)]) > 0.05
    for answer, truth in zip(said, [*base, *tuned], strict=True):
        assert answer.p_yes == pytest.approx(truth.p_yes, abs=TOLERANCE)
        assert answer.joint_mass == pytest.approx(truth.joint_mass, rel=0.01)
    for answers, truths in zip(scored, reference.options(ids[:10], 10, adapter), strict=True):
        assert answers.probabilities == pytest.approx(truths.probabilities, abs=TOLERANCE)


def test_the_listed_tokens_alone_keep_within_their_doubt(
    server: VllmServer, shop_base: BaseModel, tokens: ModelTokens, reference: Reference
) -> None:
    """As a server is asked that does not tell of tokens by their ids. This base seldom lists YES or NO."""
    texts = prompt_texts(20, seed=52)

    async def use(model: OpenAIModel) -> tuple[list[YesNo], float]:
        said = await asyncio.gather(*(model.p_yes(text, None, 5) for text in texts))
        return list(said), model.counts.doubt_max

    said, doubt = ask(server, shop_base, use, dialect="openai")
    truths = reference.yes_no([tokens.encode(text) for text in texts])
    for answer, truth in zip(said, truths, strict=True):
        assert abs(answer.p_yes - truth.p_yes) <= doubt + TOLERANCE
        assert answer.joint_mass <= truth.joint_mass * 1.01


def test_choices_and_texts(server: VllmServer, shop_base: BaseModel) -> None:
    async def use(model: OpenAIModel) -> tuple[list[str], list[str], int]:
        texts = prompt_texts(6, seed=53)
        chosen = await asyncio.gather(*(model.choice(text, GOODS, ADAPTER, 5) for text in texts))
        written = [await model.text(texts[0], 12, None, 5) for _ in range(2)]
        return list(chosen), written, model.counts.malformed

    chosen, written, malformed = ask(server, shop_base, use)
    assert set(chosen) <= set(GOODS)
    assert malformed == 0
    assert written[0]
    assert written[0] == written[1]


def test_what_cannot_be_answered_is_named_and_does_not_open_the_circuit(
    server: VllmServer, shop_base: BaseModel
) -> None:
    async def use(model: OpenAIModel) -> State:
        text = prompt_texts(1, seed=54)[0]
        for _ in range(4):
            with pytest.raises(AdapterMissing):
                await model.p_yes(text, "nobody", 5)
            with pytest.raises(QuestionRejected):
                await model.p_yes(text * 40, None, 5)
        assert 0 < (await model.p_yes(text, None, 5)).p_yes < 1
        return model.breaker.state

    assert ask(server, shop_base, use, breaker=BreakerSettings(calls_min=2)) is State.CLOSED


def test_a_released_adapter_is_tried_out_on_the_server(
    server: VllmServer,
    shop_base: BaseModel,
    folder: Path,
    models: Path,
    expecting: Callable[[Made], Made],
) -> None:
    """Its name is not enough: the server may have another one under it, or answer as the base."""
    other = expecting(random_adapter(shop_base, 8, 0.1, seed=9)).publish(models, "other", shop_base)
    with closing(OpenAIHost(reach(server, shop_base))) as host:
        adapters = OpenAIAdapters(host)
        adapters.add_adapter(ADAPTER, folder, "")
        adapters.add_adapter(ADAPTER, None, "")
        for name, of, reason in (
            (ADAPTER, other, Reason.CANARY),
            ("nobody", folder, Reason.ENGINE),
            ("nobody", None, Reason.ENGINE),
            (ADAPTER, models, Reason.FILES),
        ):
            with pytest.raises(AdapterError) as refused:
                adapters.add_adapter(name, of, "")
            assert refused.value.reason == reason


def test_a_wrong_key_is_no_answer(server: VllmServer, shop_base: BaseModel) -> None:
    async def use(model: OpenAIModel) -> None:
        with pytest.raises(ModelUnavailable, match="401"):
            await model.text(prompt_texts(1, seed=55)[0], 1, None, 5)

    ask(server, shop_base, use, api_key=SecretStr("another-key"))

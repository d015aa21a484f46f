"""The real engine driven through the topic: every answer is by whom its question was given to, whatever is released."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from streams.adapters.desk import ReleaseDesk
from streams.adapters.reports import read_states
from streams.adapters.routing import Routing
from streams.adapters.service import AdapterService
from streams.broker import DevBroker
from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import ADAPTER_STATES, ADAPTERS
from tests.streams.adapters.released import version_in
from tests.streams.running import eventually
from tests.trainer.vllm.bad_adapters import BAD, spoilt
from tests.trainer.vllm.made_adapters import Made, random_adapter
from tests.trainer.vllm.shop_model import prompts, speaks_a_letter
from trainer.base_model import BaseModel
from trainer.deciders.vllm.adapter_host import VllmAdapters
from trainer.deciders.vllm.canaries import Canaries
from trainer.deciders.vllm.engine import VllmEngine
from trainer.deciders.vllm.errors import Reason
from trainer.deciders.vllm.thread import EngineThread
from trainer.deciders.vllm.tokens import ModelTokens
from twin_store.messages import Challenger

pytestmark = [pytest.mark.vllm, pytest.mark.broker, pytest.mark.timeout(900)]
SEGMENTS = ("families", "singles", "seniors", "students")
LETTERS = 8
SURE = 0.95
ASKING = 24
CALLS = 2  # of a question, one after the other: it must find its adapter until the last


@pytest.fixture(scope="module")
def letters(shop_base: BaseModel, tokens: ModelTokens, expecting: Callable[[Made], Made]) -> list[Made]:
    """An adapter a letter, which it answers to everything."""
    return [expecting(speaks_a_letter(shop_base, tokens, number)) for number in range(LETTERS)]


@pytest.fixture
def shop(broker: DevBroker, offline_settings: Settings) -> Settings:
    """A deployment of its own."""
    shop = offline_settings.model_copy(update={"kafka_bootstrap": broker.bootstrap})
    apply_topics(shop, topics=(ADAPTERS, ADAPTER_STATES))
    return shop


@dataclass
class Heard:
    """What became of the questions; `speakers` is the letter of each version."""

    speakers: dict[str, int]
    asked: int = 0
    answered: int = 0
    wrong: list[tuple[str, int | None]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)


async def spoken(engine: VllmEngine, prompt: list[int], name: str | None) -> int | None:
    scored = await engine.options(prompt, LETTERS, name)
    return next((number for number, p in enumerate(scored.probabilities) if p > SURE), None)


@contextmanager
def questions(
    engine: EngineThread, routing: Routing, pool: list[list[int]], speakers: dict[str, int]
) -> Iterator[Heard]:
    """Ask all segments, and one that only the base answers, all the time; all questions are over in the end."""
    heard, over = Heard(speakers), asyncio.Event()

    async def ask(segment: str, customer: str, turn: int) -> None:
        served = routing(segment, customer)
        version, name = (served.version, served.name) if served else ("base", None)
        for call in range(CALLS):
            said = await spoken(engine.engine, pool[(turn + call) % len(pool)], name)
            if said != speakers.get(version):
                heard.wrong.append((version, said))
        heard.answered += 1
        heard.versions.add(version)

    async def ask_on(seed: int) -> None:
        chance = random.Random(seed)
        turn = 0
        while not over.is_set():
            turn += 1
            heard.asked += 1
            try:
                await ask(chance.choice((*SEGMENTS, "nobody")), f"c{chance.randrange(100)}", turn)
            except Exception as error:
                heard.failed.append(f"{type(error).__name__}: {error}")

    async def ask_all() -> None:
        await asyncio.gather(*(ask_on(seed) for seed in range(ASKING)))

    async def end() -> None:
        over.set()

    asking = engine.submit(ask_all())
    try:
        yield heard
    finally:
        engine.run(end())
        asking.result(60)


def adapters_in(engine: EngineThread) -> list[str]:
    async def names() -> list[str]:
        return engine.engine.adapters()

    return engine.run(names())


def remove_all(engine: EngineThread) -> None:
    for name in adapters_in(engine):
        engine.run(engine.engine.remove_adapter(name))


@pytest.mark.parametrize("swaps", [20, pytest.param(100, marks=pytest.mark.long)])
def test_swaps_by_release_under_load_lose_and_misroute_nothing(
    engine: EngineThread,
    letters: list[Made],
    shop: Settings,
    shop_base: BaseModel,
    models: Path,
    tokens: ModelTokens,
    swaps: int,
) -> None:
    """Four segments, one after the other, get another adapter; a fifth of the swaps are rollbacks or begin trials."""
    folders: dict[str, list[Path]] = {
        segment: [made.publish(models, f"by-topic-{swaps}-{segment}", shop_base) for made in letters]
        for segment in SEGMENTS
    }
    speakers = {folder.name: number for of in folders.values() for number, folder in enumerate(of)}

    def release(desk: ReleaseDesk, segment: str, number: int) -> str:
        folder = folders[segment][number]
        desk.release(segment, version_in(folder, folder, f"by-topic-{swaps}-{segment}"))
        return folder.name

    pool = prompts(tokens, 40, seed=41)
    adapters = VllmAdapters(lambda: engine)
    with closing(AdapterService(shop, adapters, "worker-0")) as service, ReleaseDesk(shop) as desk:
        live = {segment: release(desk, segment, number) for number, segment in enumerate(SEGMENTS)}
        eventually(lambda: service.is_settled() and len(adapters_in(engine)) == 4, "the first four")
        with questions(engine, service.routing, pool, speakers) as heard:
            for swap in range(swaps):
                segment = SEGMENTS[swap % 4]
                if swap % 5 == 4:
                    live[segment] = desk.roll_back(segment).decider_version
                else:
                    live[segment] = release(desk, segment, (swap + 4) % LETTERS)
                _wait_for(service, segment, live[segment])
            folder = folders["families"][7]
            version = version_in(folder, folder, f"by-topic-{swaps}-families")
            desk.challenge("families", Challenger(**version.model_dump(), mode="ab", share=0.5))
            eventually(lambda: folder.name in heard.versions, "answers of a challenger")
            before = heard.answered
            eventually(lambda: heard.answered > before + 2 * ASKING, "more answers")
        eventually(
            lambda: len(adapters_in(engine)) == 5 and service.is_settled(), "the old ones to be retired"
        )
        states = [state for of in read_states(shop).values() for state in of]
    assert (heard.failed, heard.wrong) == ([], [])
    assert heard.answered == heard.asked > 2 * swaps
    assert {"base", *live.values()} <= heard.versions
    assert {state.status for state in states} == {"loaded", "retired"}
    assert sum(state.status == "loaded" for state in states) == 5
    remove_all(engine)


def _wait_for(service: AdapterService, segment: str, version: str) -> None:
    def is_there() -> bool:
        served = service.routing(segment, "c0")
        return served is not None and served.version == version

    eventually(is_there, f"{version} of {segment}")


def test_bad_adapters_on_the_topic_are_refused_and_stop_nothing(
    engine: EngineThread,
    letters: list[Made],
    expecting: Callable[[Made], Made],
    shop: Settings,
    shop_base: BaseModel,
    models: Path,
    tokens: ModelTokens,
    tmp_path: Path,
) -> None:
    good = letters[0].publish(models, "bad-by-topic", shop_base)
    other = letters[1].publish(models, "bad-by-topic", shop_base)
    whole = expecting(random_adapter(shop_base, 4, 0.1, seed=43)).publish(models, "bad-by-topic", shop_base)
    heard_by_trainer = letters[2].canaries.prompts
    off = replace(heard_by_trainer[0], p_yes=abs(heard_by_trainer[0].p_yes - 0.5))
    misheard = replace(letters[2], canaries=Canaries((off, *heard_by_trainer[1:])))
    nothing = replace(
        letters[3], weights={module: (a * 0, b) for module, (a, b) in letters[3].weights.items()}
    )
    bad = {name: (spoilt(whole, tmp_path, name), whole, reason) for name, (_, reason) in BAD.items()}
    for name, made in (("misheard", misheard), ("nothing", nothing)):
        folder = made.publish(models, "bad-by-topic", shop_base)
        bad[name] = (folder, folder, Reason.CANARY)
    expected = {f"bad-{number}": reason for number, (_, _, reason) in enumerate(bad.values())}

    def reasons() -> dict[str, str | None]:
        states = [state for of in read_states(shop).values() for state in of]
        return {state.segment: state.reason for state in states if state.status == "refused"}

    pool = prompts(tokens, 20, seed=42)
    adapters = VllmAdapters(lambda: engine)
    with closing(AdapterService(shop, adapters, "worker-0")) as service, ReleaseDesk(shop) as desk:
        for segment in SEGMENTS:
            desk.release(segment, version_in(good, good, "bad-by-topic"))
        eventually(service.is_settled, "the good one")
        _wait_for(service, SEGMENTS[-1], good.name)
        with questions(engine, service.routing, pool, {good.name: 0}) as heard:
            for number, (folder, published, _) in enumerate(bad.values()):
                desk.release(f"bad-{number}", version_in(folder, published, "bad-by-topic"))
            eventually(lambda: len(reasons()) == len(bad), "a reason for each", timeout_s=300)
            desk.release("singles", version_in(other, other, "bad-by-topic"))
            heard.speakers[other.name] = 1
            eventually(lambda: other.name in heard.versions, "answers of another one after all that")
    assert reasons() == expected
    assert (heard.failed, heard.wrong) == ([], [])
    assert heard.answered == heard.asked
    remove_all(engine)

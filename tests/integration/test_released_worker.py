"""Broker, worker and a real engine: adapters are released while it answers, and what it then says is theirs."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from streams.adapters.admission import admitted
from streams.adapters.desk import ReleaseDesk
from streams.adapters.reports import read_states
from streams.kafka import read_to_end
from streams.topics import SHADOWS
from tests.integration.engine_town import PATIENCE_S, EngineTown
from tests.streams.queries import publish_queries, wait_for_predictions
from tests.streams.running import eventually
from tests.trainer.vllm.made_adapters import random_adapter
from tests.trainer.vllm.reference import Reference
from tests.trainer.vllm.town import questions
from trainer.calibration import Curve
from trainer.deciders.vllm.canaries import Canaries, Canary
from trainer.deciders.vllm.tokens import ModelTokens
from twin_store.messages import Challenger, Prediction
from twin_store.messages.codec import decode
from twin_store.segments import load_definitions

pytestmark = [pytest.mark.vllm, pytest.mark.broker, pytest.mark.timeout(1_800)]
CANARIES = ("Will she buy milk?", "Will he come back?", "bread and butter, bought 3 days ago")


@pytest.fixture(scope="module")
def adapters(engine_town: EngineTown, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two versions, with what `transformers` hears them say."""
    base = engine_town.base
    models, tokens = tmp_path_factory.mktemp("models"), ModelTokens.of(base.folder)
    reference, prompts = Reference(base, tokens), [tuple(tokens.encode(text)) for text in CANARIES]
    folders = []
    for seed in range(2):
        made = random_adapter(base, 4, 0.3, seed=seed)
        heard = reference.yes_no(prompts, made)
        canaries = [Canary(ids, said.p_yes) for ids, said in zip(prompts, heard, strict=True)]
        calibration = {"purchase": Curve(0.5, -1.0)}
        made = replace(made, canaries=Canaries(tuple(canaries)), calibration=calibration)
        folders.append(made.publish(models, "everybody", base))
    return folders


def test_released_adapters_answer_and_one_on_trial_is_heard(
    engine_town: EngineTown, adapters: list[Path]
) -> None:
    settings, base = engine_town.settings, engine_town.base
    source = questions(engine_town.last, "released")
    champion, challenger = (admitted(str(folder), base.folder, 8, "vllm") for folder in adapters)
    segments = load_definitions().names

    def ask(count: int) -> list[Prediction]:
        some = list(itertools.islice(source, count))
        publish_queries(settings, some)
        return list(wait_for_predictions(settings, [each.query_id for each in some], PATIENCE_S).values())

    def loaded(version: str) -> int:
        states = [state for of in read_states(settings).values() for state in of]
        return sum(state.decider_version == version and state.status == "loaded" for state in states)

    engine_town.wait_until_up()
    with ReleaseDesk(settings) as desk:
        before = ask(14)
        for segment in segments:
            desk.release(segment, champion)
        eventually(lambda: loaded(champion.decider_version) == len(segments), "the champion", PATIENCE_S)
        after = ask(28)
        for segment in segments:
            desk.challenge(segment, Challenger(**challenger.model_dump(), mode="shadow", share=1.0))
        eventually(lambda: loaded(challenger.decider_version) == len(segments), "the trial", PATIENCE_S)
        tried = [each for each in ask(14) if each.decider == "vllm"]  # fewer than find room

        def heard() -> dict[str, Prediction]:
            said = [decode(Prediction, message.value()) for message in read_to_end(settings, SHADOWS)]
            return {each.query_id: each for each in said}

        # An untrained model's review may be no text, whoever writes it.
        wanted = {each.query_id for each in tried if each.kind != "review"}
        eventually(lambda: wanted <= set(heard()), "what it says", PATIENCE_S)
        shadows = heard()
    name = f"{champion.name}@{champion.decider_version}"
    assert {each.adapter for each in before if each.decider == "vllm"} == {None}
    assert {each.adapter for each in (*after, *tried) if each.decider == "vllm"} == {name}
    for each in after:
        if each.kind == "purchase":
            assert each.decider == "vllm"
            assert each.probabilities != each.raw_probabilities
    assert {each.adapter for each in shadows.values()} == {f"{challenger.name}@{challenger.decider_version}"}
    for each in tried:
        if each.kind == "purchase":
            assert shadows[each.query_id].raw_probabilities != each.raw_probabilities

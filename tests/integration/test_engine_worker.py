"""Broker, worker and a real engine: the engine is killed under load, and no query is lost or answered twice."""

from __future__ import annotations

import itertools
import os
import signal
from collections import Counter

import pytest

from tests.integration.engine_town import PATIENCE_S, EngineTown
from tests.streams.queries import prediction_ids, predictions, publish_queries, wait_for_predictions
from tests.streams.running import eventually
from tests.trainer.vllm.town import questions
from twin_store.messages import Prediction

pytestmark = [pytest.mark.vllm, pytest.mark.broker, pytest.mark.timeout(1_800)]
HITS = "vllm:prefix_cache_hits_total"
COUNTED = (  # what somebody who looks after the worker wants to see, beside the hits
    "vllm:prefix_cache_queries_total",
    "vllm:time_to_first_token_seconds_count",
    "twins_worker_batch_queries_count",
    "twins_worker_queued",
    "twins_worker_degraded_share",
    "twins_worker_asked_total{segment=",
)


def kill_the_engine() -> None:
    """As the kernel does when memory is short. The newest one of ours: the server of other tests has one too."""
    import psutil

    children = psutil.Process(os.getpid()).children()
    engines = [child for child in children if "EngineCore" in " ".join(child.cmdline())]
    max(engines, key=lambda child: child.create_time()).send_signal(signal.SIGKILL)


def test_the_engine_is_killed_and_no_query_is_lost_or_doubled(engine_town: EngineTown) -> None:
    """The first test of the town: nothing has been asked yet, and no engine has started."""
    town, settings = engine_town, engine_town.settings
    source = questions(town.last, "killed")

    def take(count: int) -> list[str]:
        some = list(itertools.islice(source, count))
        publish_queries(settings, some)
        return [each.query_id for each in some]

    starting = take(20)
    wait_for_predictions(settings, starting, PATIENCE_S)
    town.wait_until_up()
    under_load = take(210)
    eventually(
        lambda: len(prediction_ids(settings) & set(under_load)) >= 20, "answers before the kill", PATIENCE_S
    )
    town.may_start.clear()
    kill_the_engine()
    eventually(lambda: not town.is_up(), "the death is seen", PATIENCE_S)
    meanwhile = take(35)
    wait_for_predictions(settings, [*under_load, *meanwhile], PATIENCE_S)
    town.wait_until_up()
    after = take(35)
    wait_for_predictions(settings, after, PATIENCE_S)
    counts = town.telemetry.snapshot()
    found = {each.query_id: each for each in predictions(settings)}
    everything = [*starting, *under_load, *meanwhile, *after]
    assert Counter(each.query_id for each in predictions(settings)) == Counter(everything)
    assert len(everything) == 300
    for query_ids, deciders in ((starting, {"evidence"}), (after, {"vllm"}), (meanwhile, {"evidence"})):
        assert {found[q].decider for q in query_ids if found[q].status == "answered"} == deciders
    assert {found[q].decider for q in under_load if found[q].status == "answered"} == {"evidence", "vllm"}
    for prediction in found.values():
        check(prediction)
    # vLLM's own counts are among the worker's: the beginnings of prompts were found again.
    assert sum(value for name, value in counts.items() if name.startswith(HITS)) > 0
    assert [each for each in COUNTED if not any(name.startswith(each) for name in counts)] == []
    assert 0 < counts["twins_worker_degraded_share"] < 1


def check(prediction: Prediction) -> None:
    """Whoever answered says so, and what the numbers cannot answer was refused while the model was away."""
    if prediction.decider == "vllm":
        assert prediction.status == "answered", prediction.reason
        assert prediction.degraded_reason is None
        assert prediction.prompt_hash is not None
        assert all(0 < mass <= 1 for mass in prediction.joint_mass)
        assert all(0 <= p <= 1 for p in prediction.probabilities)
        return
    said = prediction.degraded_reason if prediction.status == "answered" else prediction.reason
    if prediction.kind == "review" and prediction.status == "rejected" and "kept to no form" in (said or ""):
        return  # what an untrained model writes may be no text at all
    assert "the language model is away" in (said or ""), prediction
    assert (prediction.status == "rejected") == (prediction.kind in ("survey", "review"))

"""Broker, worker and a real engine: the engine is killed under load, and no query is lost or answered twice."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streams.broker import DevBroker
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.worker import process as worker
from tests.streams.queries import prediction_ids, predictions, publish_queries, wait_for_predictions
from tests.streams.running import eventually, running
from tests.trainer.small_town import Town
from tests.trainer.vllm.town import make_town_base, questions, settle_town
from twin_store.messages import Prediction

pytestmark = [pytest.mark.vllm, pytest.mark.broker, pytest.mark.timeout(900)]
ENGINE_START_S = 400.0
CUSTOMERS = 12
HITS = "vllm:prefix_cache_hits_total"


@pytest.fixture(scope="module")
def settings(broker: DevBroker, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A deployment with a base that fits the prompts, one thread, since others may be at work."""
    folder = tmp_path_factory.mktemp("engine-worker")
    base = make_town_base(folder / "town")
    return Settings(
        kafka_bootstrap=broker.bootstrap,
        topic_prefix="engine-worker.",
        data_dir=folder / "data",
        partitions=2,
        worker_hold_ms=300,
        metrics_port=0,
        decider="vllm",
        vllm_model=base.folder,
        vllm_rank_max=8,
        vllm_adapters_in_memory=4,
        vllm_cache_mib=256,
        vllm_threads=1,
        vllm_eager=True,
        vllm_dtype="float32",
        worker_in_flight_max=64,
        worker_busy_ms=600_000,
        worker_soft_deadline_ms=600_000,
    )


@contextmanager
def working(settings: Settings) -> Iterator[Telemetry]:
    telemetry = Telemetry("worker", settings)

    def run(stop: threading.Event) -> None:
        worker.run(settings, stop, "0", telemetry)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch and vLLM warn of each other
        with running(run):
            yield telemetry


def kill_the_engine() -> None:
    """As the kernel does when memory is short. The newest one: other tests of the session may have theirs."""
    import psutil

    children = psutil.Process(os.getpid()).children(recursive=True)
    engines = [child for child in children if "EngineCore" in " ".join(child.cmdline())]
    max(engines, key=lambda child: child.create_time()).send_signal(signal.SIGKILL)


def test_the_engine_is_killed_and_no_query_is_lost_or_doubled(settings: Settings) -> None:
    last = settle_town(settings, Town(customers=CUSTOMERS, days=120))
    source = questions(last, "killed")

    def take(count: int) -> list[str]:
        some = list(itertools.islice(source, count))
        publish_queries(settings, some)
        return [each.query_id for each in some]

    with working(settings) as telemetry:

        def is_up() -> bool:
            return telemetry.snapshot().get("twins_worker_model_up") == 1

        starting = take(20)
        wait_for_predictions(settings, starting)
        eventually(is_up, "the engine", ENGINE_START_S)
        under_load = take(110)
        eventually(
            lambda: len(prediction_ids(settings) & set(under_load)) >= 20, "answers before the kill", 120
        )
        kill_the_engine()
        eventually(lambda: not is_up(), "the death is seen")
        meanwhile = take(35)
        wait_for_predictions(settings, [*under_load, *meanwhile], timeout_s=120)
        eventually(is_up, "the next engine", ENGINE_START_S)
        after = take(35)
        wait_for_predictions(settings, after, timeout_s=120)
        counts = telemetry.snapshot()
    found = {each.query_id: each for each in predictions(settings)}
    everything = [*starting, *under_load, *meanwhile, *after]
    assert Counter(each.query_id for each in predictions(settings)) == Counter(everything)
    assert len(everything) == 200
    for query_ids, deciders in ((starting, {"evidence"}), (after, {"vllm"}), (meanwhile, {"evidence"})):
        assert {found[q].decider for q in query_ids if found[q].status == "answered"} == deciders
    assert {found[q].decider for q in under_load if found[q].status == "answered"} == {"evidence", "vllm"}
    for prediction in found.values():
        check(prediction)
    # vLLM's own counts are among the worker's: the beginnings of prompts were found again.
    assert sum(value for name, value in counts.items() if name.startswith(HITS)) > 0


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

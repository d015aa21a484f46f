"""The run of `benchmarks.outage`: a steady load, an engine that is killed, and what became of every query."""

import contextlib
import itertools
import os
import signal
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.language_town import deployment, id_of, queries_about
from benchmarks.progress import say
from benchmarks.town import publish_town
from streams.broker import DevBroker, free_port
from streams.kafka import Publisher, read_to_end
from streams.settings import Settings
from streams.topics import PREDICTIONS, QUERIES
from streams.worker import process as worker
from streams.worker.hosts import engine_settings
from trainer.calibration import Curve
from trainer.deciders.vllm.host import EngineHost
from trainer.deciders.vllm.thread import EngineThread
from trainer.fitted import DECIDER, FLOOR, Fitted
from trainer.heads import Head
from trainer.logistic import Logistic
from trainer.registry import Registry
from twin_store.affinity import Affinity
from twin_store.evidence import EVIDENCE_NAMES
from twin_store.messages import Prediction
from twin_store.messages.codec import decode

PEOPLE, DAYS = 60, 180
IN_FLIGHT, CACHE_MIB = 64, 96
ENGINE_START_S, ANSWERS_S = 600.0, 300.0
CALM_S = 10.0  # before the kill: what waits then is usual
AFTER_S = 30.0  # of load, once the engine is back
STEP_S = 0.1


def measure_outage(away_s: float, per_s: float, before_s: float) -> dict[str, Any]:
    """See `benchmarks.outage`."""
    with tempfile.TemporaryDirectory(prefix="twins-bench-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch and vLLM warn of each other
        broker = DevBroker(Path(folder) / "broker", free_port())
        broker.start()
        try:
            settings = deployment(Path(folder), broker, IN_FLIGHT, CACHE_MIB)
            say(f"receipts of {PEOPLE} customers are folded")
            publish_town(settings, PEOPLE, DAYS)
            _publish_evidence(settings)
            return _measured(settings, away_s, per_s, before_s)
        finally:
            broker.stop()


def _measured(settings: Settings, away_s: float, per_s: float, before_s: float) -> dict[str, Any]:
    may_start = threading.Event()
    may_start.set()

    def start() -> EngineThread:
        may_start.wait()
        return EngineThread.start(engine_settings(settings, "bench"))

    host, stop = EngineHost(start), threading.Event()
    running = threading.Thread(target=worker.run, args=(settings, stop), kwargs={"host": host})
    running.start()
    try:
        say("an engine starts")
        _until(lambda: host.model is not None, ENGINE_START_S)
        with _load(settings, per_s):
            say(f"{per_s:g} queries a second")
            time.sleep(before_s)
            may_start.clear()
            _kill_the_engine()
            killed = time.time()
            say(f"the engine is killed, and stays away for {away_s:g} s")
            _until(lambda: host.model is None, ENGINE_START_S)
            time.sleep(max(0.0, killed + away_s - time.time()))
            may_start.set()
            _until(lambda: host.model is not None, ENGINE_START_S)
            back = time.time()
            say("another one answers")
            time.sleep(AFTER_S)
        asked = {id_of(m): m.timestamp()[1] / 1000 for m in read_to_end(settings, QUERIES)}
        with contextlib.suppress(TimeoutError):  # what is lost then is counted
            _until(
                lambda: len({id_of(m) for m in read_to_end(settings, PREDICTIONS)}) >= len(asked), ANSWERS_S
            )
    finally:
        may_start.set()
        stop.set()
        running.join()
        host.close()
    return _found(settings, asked, killed, back)


def _found(settings: Settings, asked: Mapping[str, float], killed: float, back: float) -> dict[str, Any]:
    messages = list(read_to_end(settings, PREDICTIONS))
    answered = {id_of(m): m.timestamp()[1] / 1000 for m in reversed(messages)}
    said = [decode(Prediction, m.value()) for m in messages]
    by_evidence = [each for each in said if each.decider != "vllm"]
    waiting = _waiting(asked, answered)
    usual = max(count for at, count in waiting if killed - CALM_S <= at < killed)
    meanwhile = [q for q, at in asked.items() if killed <= at < back]
    deciders = {each.query_id: each.decider for each in said}
    return {
        "queries": len(asked),
        "lost": len(asked.keys() - answered.keys()),
        "doubled": sum(count > 1 for count in Counter(id_of(m) for m in messages).values()),
        "not_answered": sum(each.status != "answered" for each in said),
        "by_evidence": len(by_evidence),
        "by_evidence_unmarked": sum(
            "the language model" not in (each.degraded_reason or "") for each in by_evidence
        ),
        "away_s": round(back - killed, 1),
        "asked_meanwhile": len(meanwhile),
        "asked_meanwhile_by_evidence": sum(deciders.get(q) == "evidence" for q in meanwhile),
        "waiting_before": usual,
        "waiting_most": max(count for at, count in waiting if at >= killed),
        "drained_s": _drained_s(waiting, killed, usual),
        "drained_after_return_s": _drained_s(waiting, back, usual),
        **_latencies(
            "before", [answered[q] - at for q, at in asked.items() if at < killed and q in answered]
        ),
        **_latencies("away", [answered[q] - asked[q] for q in meanwhile if q in answered]),
        **_latencies("after", [answered[q] - at for q, at in asked.items() if at >= back and q in answered]),
    }


def _waiting(asked: Mapping[str, float], answered: Mapping[str, float]) -> list[tuple[float, int]]:
    """How many queries waited, at every moment from the first to the last."""
    came, went = np.sort(list(asked.values())), np.sort(list(answered.values()))
    times = np.arange(came[0], max(came[-1], went[-1]) + 2 * STEP_S, STEP_S)
    counts = np.searchsorted(came, times, "right") - np.searchsorted(went, times, "right")
    return [(float(at), int(count)) for at, count in zip(times, counts, strict=True)]


def _drained_s(waiting: list[tuple[float, int]], since: float, usual: int) -> float | None:
    """Seconds from a moment to the last one at which more waited than usual; None if they wait to the end."""
    more = [at for at, count in waiting if at >= since and count > usual]
    if waiting[-1][1] > usual:
        return None
    return round(max(more, default=since) - since, 1)


def _latencies(name: str, seconds: list[float]) -> dict[str, float]:
    return {
        f"{name}_ms_p50": round(1000 * float(np.quantile(seconds, 0.5))),
        f"{name}_ms_p99": round(1000 * float(np.quantile(seconds, 0.99))),
    }


@contextlib.contextmanager
def _load(settings: Settings, per_s: float) -> Iterator[None]:
    """Queries at a steady rate, for as long as this lasts."""
    over = threading.Event()
    pool = itertools.cycle(queries_about(PEOPLE, 1_000, DAYS))

    def publish() -> None:
        began = time.monotonic()
        with Publisher(settings) as publisher:
            for number in itertools.count():
                if over.wait(max(0.0, began + number / per_s - time.monotonic())):
                    return
                now, query_id = datetime.now(UTC), f"outage-{number}"
                query = next(pool).model_copy(
                    update={"query_id": query_id, "raised_at": now, "deadline": now + timedelta(hours=1)}
                )
                headers = [("ce_id", query_id.encode())]
                publisher.publish(QUERIES, query.customer_id.encode(), query.to_wire(), headers)
                publisher.flush()

    thread = threading.Thread(target=publish, name="load")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _kill_the_engine() -> None:
    children = psutil.Process(os.getpid()).children(recursive=True)
    engines = [child for child in children if "EngineCore" in " ".join(child.cmdline())]
    max(engines, key=lambda child: child.create_time()).send_signal(signal.SIGKILL)


def _publish_evidence(settings: Settings) -> None:
    """A decider from the numbers whose weights nobody fitted: it answers as fast as any, and must say that it did."""
    names = EVIDENCE_NAMES["purchase"]
    weights = [0.3 if name in ("item_share", "item_days") else 0.0 for name in names]
    logistic = Logistic(
        np.zeros(len(names)), np.ones(len(names)), np.array([*weights, *(0.0 for _ in names), -1.0])
    )
    head = Head("purchase", logistic, None, 0.0, Curve(1.0, 0.0), Curve(1.0, 0.0))
    fitted = Fitted({("purchase", FLOOR): head}, Affinity.empty())
    until = datetime(2024, 1, 1, tzinfo=UTC).isoformat()
    Registry(settings.models).publish(DECIDER, until, until, fitted.to_files(), {}, {})


def _until(is_so: Any, timeout_s: float) -> None:
    """Wait until something is so. Raises `TimeoutError`."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not come within {timeout_s:.0f} s")
        time.sleep(0.2)

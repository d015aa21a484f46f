"""One question to a language model that is started for it and ended after it."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streams.adapters.locations import local_folder
from streams.adapters.releases import read_releases
from streams.asking import Answerer, Who, by_evidence
from streams.errors import TwinsError, UsageError
from streams.lake_decider import current_decider
from streams.settings import Settings
from streams.updater.names import LiveNames
from streams.worker.hosts import engine_settings, served_base
from trainer.base_model import BaseModelError
from trainer.deciders.base import Decision, DecisionInput, Refusal
from trainer.deciders.language.decider import LanguageDecider
from trainer.deciders.language.model import (
    AdapterMissing,
    MalformedAnswer,
    ModelUnavailable,
    QuestionRejected,
)
from trainer.deciders.language.scenes import SceneMaker
from trainer.deciders.language.served import Router, ServedAdapter
from trainer.deciders.vllm.adapters import read_served
from trainer.deciders.vllm.errors import AdapterError, VllmError
from trainer.deciders.vllm.host import NAME, version_of
from trainer.deciders.vllm.model import VllmModel
from trainer.deciders.vllm.thread import EngineThread
from twin_store.affinity import Affinity
from twin_store.dna.profile import ProductNames
from twin_store.evidence import EvidenceReader, Products
from twin_store.product_names import product_names
from twin_store.segments import load_definitions
from twin_store.usuals import Usuals

MEMBER = "ask"
USUAL_PRIORITY = 5
TELL_EVERY_S = 10.0


@contextmanager
def language_answerer(settings: Settings, is_live: bool, say: Callable[[str], None]) -> Iterator[Answerer]:
    """Answers by the base model of the settings, while this lasts; `say` is told how the start goes on.

    A segment's questions go to the adapter that is released for it, as in a worker, but to none that is on trial.
    Where the model does not answer, or does not even start, evidence does and says so.

    `is_live`: questions are about now, and the DNA is read against what is usual now.

    Raises:
        UsageError: no base model is named, or it cannot be used.
    """
    wanted = engine_settings(settings, MEMBER)
    with _telling(say), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch and vLLM warn of each other
        try:
            engine = EngineThread.start(wanted)
        except BaseModelError as error:
            raise UsageError(str(error)) from None
        except VllmError as error:
            away = f"the language model is away: {error}"
            yield lambda asked, products: by_evidence(settings, asked, products, away)
            return
    router = _released(settings, engine, say)

    def answer(asked: DecisionInput, products: Products) -> tuple[Decision | Refusal, Who]:
        names = _names(settings, products, is_live)
        scenes = SceneMaker(products, load_definitions(), lambda: _reader(settings, products), lambda: names)
        version = version_of(engine.engine.base)
        decider = LanguageDecider(
            NAME,
            version,
            VllmModel(engine.engine),
            scenes,
            router,
            served_base(settings),
        )
        try:
            prepared = decider.prepare(asked)
            if isinstance(prepared, Refusal):
                why = f"the language model cannot be asked: {prepared.reason}"
                return by_evidence(settings, asked, products, why)
            return engine.run(decider.ask(prepared, USUAL_PRIORITY)), Who(NAME, version, "")
        except (ModelUnavailable, QuestionRejected, MalformedAnswer) as error:
            return by_evidence(settings, asked, products, f"the language model did not answer: {error}")

    try:
        yield answer
    finally:
        engine.stop()


def _released(settings: Settings, engine: EngineThread, say: Callable[[str], None]) -> Router:
    """Loads the adapter of a segment that is asked about. Routes raise `AdapterMissing` for one that cannot be had."""
    try:
        releases = read_releases(settings).by_segment
    except TwinsError as error:  # questions about the past need no Kafka
        say(f"the releases of adapters cannot be read, so the base answers: {error}")
        releases = {}

    def route(segment: str, _customer_id: str) -> ServedAdapter | None:
        release = releases.get(segment)
        if release is None or release.decider != NAME:
            return None
        try:
            with local_folder(release.location) as folder:
                served = read_served(folder, segment, release.sha256)
                engine.run(engine.engine.add_adapter(folder, release.sha256))
        except (AdapterError, OSError) as error:
            raise AdapterMissing(f"{release.decider_version} of {segment}: {error}") from None
        return served

    return route


def _reader(settings: Settings, products: Products) -> EvidenceReader:
    """That of the current version; with nothing fitted where there is none."""
    try:
        return current_decider(settings, products)[0].reader
    except UsageError:
        return EvidenceReader(products, Affinity.empty())


def _names(settings: Settings, products: Products, is_live: bool) -> ProductNames:
    if not is_live:
        return product_names(products.catalogue, Usuals(settings.currency))
    with contextlib.closing(LiveNames(settings)) as names:
        return names.current()


@contextmanager
def _telling(say: Callable[[str], None]) -> Iterator[None]:
    """Say now and then that the engine is still starting."""
    began, over = time.monotonic(), threading.Event()

    def tell() -> None:
        while not over.wait(TELL_EVERY_S):
            say(f"… {time.monotonic() - began:.0f} s")

    say("an engine starts for this question, which takes about a minute")
    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()

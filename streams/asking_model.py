"""One question to a language model that is started for it and ended after it."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streams.asking import Answerer, Who
from streams.errors import TwinsError, UsageError
from streams.lake_decider import current_decider
from streams.settings import Settings
from streams.updater.names import LiveNames
from streams.worker.hosts import base_buckets, engine_settings
from trainer.base_model import BaseModelError
from trainer.deciders.base import Decision, DecisionInput, Refusal
from trainer.deciders.language.decider import LanguageDecider
from trainer.deciders.language.model import MalformedAnswer, ModelUnavailable, QuestionRejected
from trainer.deciders.language.scenes import SceneMaker
from trainer.deciders.vllm.errors import VllmError
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

    `is_live`: questions are about now, and the DNA is read against what is usual now.

    Raises:
        UsageError: no base model is named, or it cannot be used.
        TwinsError: the engine does not start.
    """
    wanted = engine_settings(settings, MEMBER)
    with _telling(say), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch and vLLM warn of each other
        try:
            engine = EngineThread.start(wanted)
        except BaseModelError as error:
            raise UsageError(str(error)) from None
        except VllmError as error:
            raise TwinsError(str(error)) from None

    def answer(asked: DecisionInput, products: Products) -> tuple[Decision | Refusal, Who]:
        names = _names(settings, products, is_live)
        scenes = SceneMaker(products, load_definitions(), lambda: _reader(settings, products), lambda: names)
        version = version_of(engine.engine.base)
        decider = LanguageDecider(
            NAME,
            version,
            VllmModel(engine.engine),
            scenes,
            lambda _segment, _customer: None,
            base_buckets(settings),
        )
        who = Who(NAME, version, "")
        try:
            return engine.run(decider.answer(asked, USUAL_PRIORITY)), who
        except (ModelUnavailable, QuestionRejected, MalformedAnswer) as error:
            return Refusal(str(error)), who

    try:
        yield answer
    finally:
        engine.stop()


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

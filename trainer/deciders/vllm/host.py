"""An engine that is kept up: started beside whoever asks, and started again when it has died."""

import logging
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from trainer.base_model import BaseModel
from trainer.deciders.language.model import LanguageModel, ModelUnavailable
from trainer.deciders.vllm.engine import VllmEngine
from trainer.deciders.vllm.model import VllmModel
from trainer.deciders.vllm.thread import EngineThread

NAME = "vllm"
BACKOFF_FIRST_S, BACKOFF_MAX_S = 1.0, 60.0
STEADY_AFTER_S = 300.0  # an engine that lived so long is started again at once
LOOK_EVERY_S = 0.25
VERSION_DIGITS = 12
CLOSE_WITHIN_S = 30.0
STARTING = "the engine is starting"
DIED = "the engine has died and is started again"
_log = logging.getLogger(__name__)
T = TypeVar("T")
Prepare = Callable[[VllmEngine], Coroutine[Any, Any, None]]


class EngineHost:
    """See `ModelHost`. One engine at a time, each on an `EngineThread`; a thread of its own sees to that.

    Attributes:
        starts: how many engines came up.
    """

    def __init__(
        self,
        start: Callable[[], EngineThread],
        prepare: Prepare | None = None,
        backoff_s: float = BACKOFF_FIRST_S,
    ) -> None:
        """Begins to start the first engine, and does not wait for it.

        Args:
            start: gives a started engine; may take minutes, and raise.
            prepare: run on a new engine before it gets questions, such as to load its adapters again.
            backoff_s: the pause before the second try; it doubles with every further one.
        """
        self.starts = 0
        self._start = start
        self._prepare = prepare
        self._backoff_first_s = backoff_s
        self._current: tuple[EngineThread, VllmModel] | None = None
        self._why = STARTING
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="engine-keeper", daemon=True)
        self._keeper.start()

    @property
    def name(self) -> str:
        """See `ModelHost`."""
        return NAME

    @property
    def version(self) -> str:
        """See `ModelHost`: the base's name, and the beginning of its hash."""
        current = self._current
        return NAME if current is None else version_of(current[0].engine.base)

    @property
    def model(self) -> LanguageModel | None:
        """See `ModelHost`."""
        current = self._current
        return None if current is None else current[1]

    @property
    def engine(self) -> EngineThread | None:
        """The engine that answers now."""
        current = self._current
        return None if current is None else current[0]

    @property
    def why_away(self) -> str:
        """See `ModelHost`."""
        return self._why

    def submit(self, call: Coroutine[Any, Any, T]) -> Future[T]:
        """See `ModelHost`."""
        current = self._current
        if current is None:
            call.close()
            raise ModelUnavailable(self._why)
        try:
            return current[0].submit(call)
        except RuntimeError:  # its loop was closed just now
            call.close()
            raise ModelUnavailable(DIED) from None

    def close(self) -> None:
        """See `ModelHost`. An engine that is starting is waited for, but not for ever: it ends with the process."""
        self._closing.set()
        self._keeper.join(CLOSE_WITHIN_S)

    def _keep(self) -> None:
        backoff_s = self._backoff_first_s
        while not self._closing.is_set():
            engine = self._started()
            if engine is not None:
                lived_s = self._watch(engine)
                if lived_s > STEADY_AFTER_S:
                    backoff_s = self._backoff_first_s
            self._closing.wait(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_MAX_S)

    def _started(self) -> EngineThread | None:
        try:
            engine = self._start()
        except Exception as error:
            self._why = f"the engine does not start: {error}"[:300]
            _log.exception("the engine does not start; it will be tried again")
            return None
        try:
            if self._prepare is not None:
                engine.run(self._prepare(engine.engine))
        except Exception as error:
            self._why = f"the engine could not be made ready: {error}"[:300]
            _log.exception("the engine could not be made ready; it will be started again")
            _stop(engine)
            return None
        return engine

    def _watch(self, engine: EngineThread) -> float:
        """Let it answer until it has died or the host closes; returns how many seconds that was."""
        started = time.monotonic()
        self._current = (engine, VllmModel(engine.engine))
        self.starts += 1
        _log.info("the language model answers")
        while not self._closing.wait(LOOK_EVERY_S) and engine.engine.is_up:
            pass
        self._why = DIED
        self._current = None
        if not self._closing.is_set():
            _log.error("the engine has died; it is started again")
        _stop(engine)
        return time.monotonic() - started


def version_of(base: BaseModel) -> str:
    """What predictions call a base: its name, and the beginning of its hash."""
    return f"{base.name}-{base.sha256[:VERSION_DIGITS]}"


def _stop(engine: EngineThread) -> None:
    try:
        engine.stop()
    except Exception:
        _log.exception("an engine did not stop cleanly")

"""The engine as a host of released adapters."""

from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, TypeVar

from trainer.deciders.language.model import ModelUnavailable
from trainer.deciders.vllm.engine import VllmEngine
from trainer.deciders.vllm.errors import AdapterError, EngineDownError, Reason, UnknownAdapterError
from trainer.deciders.vllm.thread import EngineThread

LOOK_EVERY_S = 1.0
T = TypeVar("T")


class VllmAdapters:
    """See `AdapterHost`. `engine` tells which engine there is now: one that died may be replaced."""

    decider = "vllm"

    def __init__(self, engine: Callable[[], EngineThread | None]) -> None:
        self._engine = engine

    @property
    def model(self) -> object | None:
        """See `AdapterHost`."""
        return self._engine()

    def add_adapter(self, name: str, folder: Path | None, sha256: str) -> None:
        """See `AdapterHost`."""
        if folder is None:
            raise AdapterError(Reason.FILES, f"{name} was released without a location")
        self._run(lambda engine: engine.add_adapter(folder, sha256))

    def remove_adapter(self, name: str) -> None:
        """See `AdapterHost`."""

        async def remove(engine: VllmEngine) -> None:
            try:
                await engine.remove_adapter(name)
            except UnknownAdapterError:
                return

        self._run(remove)

    def pin_adapter(self, name: str) -> None:
        """See `AdapterHost`."""
        self._run(lambda engine: engine.pin_adapter(name))

    def unpin_adapter(self, name: str) -> None:
        """See `AdapterHost`."""

        async def unpin(engine: VllmEngine) -> None:
            engine.unpin_adapter(name)

        self._run(unpin)

    def _run(self, call: Callable[[VllmEngine], Coroutine[Any, Any, T]]) -> T:
        thread = self._engine()
        if thread is None:
            raise ModelUnavailable("the engine is not there")
        future = thread.submit(call(thread.engine))
        while True:
            try:
                return future.result(LOOK_EVERY_S)
            except EngineDownError as error:
                raise ModelUnavailable(str(error)) from None
            except CancelledError:
                raise ModelUnavailable("the engine was stopped") from None
            except TimeoutError:
                # What reaches a loop that is just ending is never run.
                if not future.done() and self._engine() is not thread:
                    future.cancel()
                    raise ModelUnavailable("the engine is not there any more") from None

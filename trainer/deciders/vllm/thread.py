"""The engine on an event loop of its own, for callers that have none, such as a consumer of Kafka."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from trainer.deciders.vllm.engine import VllmEngine
from trainer.deciders.vllm.settings import EngineSettings

TAKE_BACK_S = 5.0
T = TypeVar("T")


class EngineThread:
    """A started engine. `engine`'s coroutines are given to `submit` or `run`, never awaited elsewhere."""

    def __init__(self, engine: VllmEngine, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
        self.engine = engine
        self._loop = loop
        self._thread = thread

    @classmethod
    def start(cls, settings: EngineSettings) -> Self:
        """Start the engine and wait until it answers. Raises as `VllmEngine.start`."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="vllm", daemon=True)
        thread.start()

        async def make() -> VllmEngine:
            return VllmEngine.start(settings)

        try:
            engine = asyncio.run_coroutine_threadsafe(make(), loop).result()
        except BaseException:
            _end(loop, thread)
            raise
        return cls(engine, loop, thread)

    def submit(self, question: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin to answer; cancelling the future takes the question back."""
        return asyncio.run_coroutine_threadsafe(question, self._loop)

    def run(self, question: Coroutine[Any, Any, T]) -> T:
        """The answer, waited for."""
        return self.submit(question).result()

    def stop(self) -> None:
        """End the engine, its processes and this thread. What is still asked is cancelled."""

        async def stop() -> None:
            self.engine.stop()

        try:
            self.run(stop())
        finally:
            _end(self._loop, self._thread)


async def _take_back() -> None:
    """Cancel whatever is still at it: nobody would ever hear of it again."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=TAKE_BACK_S)


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    asyncio.run_coroutine_threadsafe(_take_back(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()

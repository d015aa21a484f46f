"""The model behind HTTP on an event loop of its own, for callers that have none, such as a consumer of Kafka."""

import asyncio
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from trainer.deciders.language.breaker import State
from trainer.deciders.language.model import ModelUnavailable
from trainer.deciders.openai.model import OpenAIModel
from trainer.deciders.openai.settings import OpenAISettings

CHATTY = ("httpx", "httpcore")  # they log every request as INFO
T = TypeVar("T")


class OpenAIHost:
    """Keeps the model until it is closed. The server may come and go meanwhile: `model` stays, and its calls say so."""

    name = "openai"

    def __init__(self, settings: OpenAISettings) -> None:
        """Raises `ValueError` if a file of the settings cannot be read."""
        for library in CHATTY:
            logging.getLogger(library).setLevel(logging.WARNING)
        self.model = OpenAIModel(settings)
        self.version = settings.model
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=self.name, daemon=True)
        self._thread.start()
        self._is_closed = False

    @property
    def why_away(self) -> str:
        """In a few words, why the server is not asked now; empty while it is."""
        return "" if self.model.breaker.state is State.CLOSED else "the server failed too often"

    def submit(self, call: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a call of `model`'s on its event loop; cancelling the future takes the question back.

        Raises:
            ModelUnavailable: this is closed; the call is too.
        """
        if self._is_closed:
            call.close()
            raise ModelUnavailable("the model was let go of")
        return asyncio.run_coroutine_threadsafe(call, self._loop)

    def close(self) -> None:
        """Take back every question, close the connections and end the thread."""
        if not self._is_closed:
            self._is_closed = True
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.model.close()

"""A server's adapters as a host of released ones: it must have them already, and they are tried out all the same."""

import asyncio
import hashlib
import json
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, TypeVar

from trainer.deciders.language.model import AdapterMissing, ModelUnavailable, QuestionRejected
from trainer.deciders.openai.host import OpenAIHost
from trainer.deciders.vllm.canaries import FILE, Canaries
from trainer.deciders.vllm.errors import AdapterError, Reason
from trainer.registry import MANIFEST

PRIORITY = 9  # before the questions of customers: until it is tried out, theirs are answered from the numbers
GREETING = "Hello"
T = TypeVar("T")


class OpenAIAdapters:
    """See `AdapterHost`. Whoever runs the server loads adapters there, under the names that the releases have."""

    decider = "openai"

    def __init__(self, host: OpenAIHost) -> None:
        self._host = host

    @property
    def model(self) -> object | None:
        """See `AdapterHost`. It stays the same while the server comes and goes: what it has, it says when asked."""
        return self._host.model

    def add_adapter(self, name: str, folder: Path | None, sha256: str) -> None:
        """See `AdapterHost`. With a folder and a server of vLLM's, the canaries in it must be answered as they should.

        Without, or by another server, all that is known is that it has a model of this name.
        """
        canaries = None if folder is None else _canaries(folder)
        try:
            if canaries is not None and self._host.model.tells_by_ids:
                self._try_out(name, canaries)
            else:
                self._run(self._host.model.text(GREETING, 1, name, PRIORITY))
        except AdapterMissing:
            raise AdapterError(Reason.ENGINE, f"the server has no model of the name {name}") from None
        except QuestionRejected as error:
            raise AdapterError(Reason.ENGINE, f"the server cannot be asked as {name}: {error}") from None

    def remove_adapter(self, name: str) -> None:
        """See `AdapterHost`. It stays on the server, where nobody asks it any more."""

    def pin_adapter(self, name: str) -> None:
        """See `AdapterHost`. What the server keeps in memory is its own affair."""

    def unpin_adapter(self, name: str) -> None:
        """See `AdapterHost`."""

    def _try_out(self, name: str, canaries: Canaries) -> None:
        if canaries.blind(self._answers(canaries, None)):
            raise AdapterError(Reason.CANARIES, "the base itself answers all its canaries as it should")
        wrong = canaries.contradicted(self._answers(canaries, name))
        if wrong is not None:
            raise AdapterError(Reason.CANARY, wrong)

    def _answers(self, canaries: Canaries, adapter: str | None) -> list[float]:
        async def asking() -> list[float]:
            model = self._host.model
            asked = (model.p_yes_of_ids(each.prompt_ids, adapter, PRIORITY) for each in canaries.prompts)
            return [said.p_yes for said in await asyncio.gather(*asked)]

        return self._run(asking())

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        future = self._host.submit(call)
        try:
            return future.result()  # every call of the model's has a bound
        except CancelledError:
            raise ModelUnavailable("the model was let go of") from None


def _canaries(folder: Path) -> Canaries:
    """Those of the version in a folder, if they are what its manifest lists. The server has the other files, or not."""
    try:
        listed = json.loads((folder / MANIFEST).read_bytes())["files"][FILE]
        content = (folder / FILE).read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AdapterError(Reason.FILES, f"its canaries cannot be read: {error}") from None
    if hashlib.sha256(content).hexdigest() != listed:
        raise AdapterError(Reason.HASH, f"{FILE} is not the file that the manifest names")
    try:
        return Canaries.from_json(content)
    except ValueError as error:
        raise AdapterError(Reason.CANARIES, str(error)) from None

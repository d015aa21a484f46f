"""Which adapters are in the engine's memory: the ones used last, and those that are pinned.

All that are known lie on disk; a question for one that is not in memory brings it back. We choose who leaves, and not
vLLM: it would also drop one that is being asked, and its own pinning takes slots that its scheduler goes on giving
away, which ends the engine as soon as one batch needs them all (vllm/lora/model_manager.py, 0.32).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from trainer.deciders.vllm.adapters import Adapter
from trainer.deciders.vllm.errors import AdapterError, Reason, UnknownAdapterError
from trainer.deciders.vllm.inference import LoadedAdapter


@dataclass(eq=False)
class Resident:
    """An adapter with its state.

    Attributes:
        in_flight: how many questions are at it.
        used: when it last got one, by a clock that counts questions.
        dismissed: it takes no more.
        queue: those who wait for it to come into memory. They are all let in before it can leave again.
        coming: the task that brings it.
    """

    loaded: LoadedAdapter
    sha256: str
    in_memory: bool = False
    pinned: bool = False
    dismissed: bool = False
    in_flight: int = 0
    used: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    queue: list[asyncio.Future[None]] = field(default_factory=list)
    coming: asyncio.Task[None] | None = None

    def enter(self) -> None:
        """One question more is at it."""
        self.in_flight += 1
        self.idle.clear()

    def leave(self) -> None:
        """One less."""
        self.in_flight -= 1
        if self.in_flight == 0:
            self.idle.set()


class Residents:
    """The adapters by name. To be used from one event loop."""

    def __init__(
        self,
        capacity: int,
        load: Callable[[LoadedAdapter], Awaitable[None]],
        unload: Callable[[LoadedAdapter], Awaitable[None]],
    ) -> None:
        """`capacity` is how many may be in memory. A failing `load` raises `AdapterError`."""
        self._capacity = capacity
        self._load = load
        self._unload = unload
        self._named: dict[str, Resident] = {}
        self._all: list[Resident] = []  # those on trial and on their way out, too
        self._contents: dict[str, str] = {}  # by every name that questions ever used
        self._last_number = 0
        self._clock = 0
        self._swap = asyncio.Lock()  # one adapter comes or goes at a time

    @property
    def names(self) -> list[str]:
        """Of every adapter that questions may name, in order of arrival."""
        return list(self._named)

    @property
    def in_memory(self) -> list[str]:
        """Those of `names` that the engine holds."""
        return [name for name, each in self._named.items() if each.in_memory]

    @property
    def pinned(self) -> list[str]:
        """Those of `names` that stay."""
        return [name for name, each in self._named.items() if each.pinned]

    def knows(self, adapter: Adapter) -> bool:
        """Whether questions may name it. Raises `AdapterError` if they knew its name with other content."""
        if self._contents.get(adapter.name, adapter.sha256) != adapter.sha256:
            raise AdapterError(Reason.NAME, f"{adapter.name} was the name of another content")
        return adapter.name in self._named

    async def load(self, adapter: Adapter) -> Resident:
        """Load an adapter that nobody can name yet; `admit` or `dismiss` it next.

        Raises:
            AdapterError: the engine would not load it.
        """
        self._last_number += 1  # a number is never used again: vLLM tells adapters apart by it
        loaded = LoadedAdapter(adapter.name, self._last_number, adapter.folder)
        resident = Resident(loaded, adapter.sha256)
        resident.idle.set()
        self._all.append(resident)
        try:
            async with self.holding(resident):
                return resident
        except BaseException:
            await self.dismiss(resident)
            raise

    def admit(self, resident: Resident) -> None:
        """From now on questions may name it."""
        self._named[resident.loaded.name] = resident
        self._contents[resident.loaded.name] = resident.sha256

    async def dismiss(self, resident: Resident) -> None:
        """Take no more questions for it, let those at it finish, and unload it."""
        resident.dismissed = True
        if self._named.get(resident.loaded.name) is resident:
            del self._named[resident.loaded.name]
        await asyncio.shield(asyncio.create_task(self._see_off(resident)))

    def find(self, name: str) -> Resident:
        """The adapter of that name. Raises `UnknownAdapterError`."""
        if name not in self._named:
            raise UnknownAdapterError(f"there is no adapter {name}")
        return self._named[name]

    async def pin(self, name: str) -> None:
        """Keep an adapter in memory from now on.

        Raises:
            UnknownAdapterError: it is not there.
            ValueError: no room would be left for those that are not pinned.
        """
        resident = self.find(name)
        if not resident.pinned and len(self.pinned) + 1 >= self._capacity:
            raise ValueError(f"{len(self.pinned)} of {self._capacity} are pinned; one must stay free")
        resident.pinned = True
        async with self.holding(resident):
            pass

    def unpin(self, name: str) -> None:
        """Let an adapter leave memory again. Raises `UnknownAdapterError`."""
        self.find(name).pinned = False

    @asynccontextmanager
    async def holding(self, resident: Resident) -> AsyncIterator[LoadedAdapter]:
        """The adapter, in memory for as long as this lasts.

        Raises:
            UnknownAdapterError: it was dismissed while this waited.
            AdapterError: it had left memory and cannot be loaded any more.
        """
        if resident.in_memory:
            resident.enter()
        else:
            await self._wait_for(resident)
        self._clock += 1
        resident.used = self._clock
        try:
            yield resident.loaded
        finally:
            resident.leave()

    async def _wait_for(self, resident: Resident) -> None:
        """Have it brought into memory, and enter."""
        if resident.dismissed:
            raise UnknownAdapterError(f"adapter {resident.loaded.name} was removed")
        turn = asyncio.get_running_loop().create_future()
        resident.queue.append(turn)
        if resident.coming is None or resident.coming.done():
            resident.coming = asyncio.create_task(self._bring(resident))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                resident.leave()  # let in just as it gave up
            raise

    async def _bring(self, resident: Resident) -> None:
        """Load it and let in who waits. It goes on when they give up: others may have come."""
        failure: Exception | None = None
        async with self._swap:
            try:
                await self._swap_in(resident)
            except Exception as error:
                failure = error
            waiting, resident.queue = resident.queue, []
            for turn in waiting:
                if turn.done():
                    continue
                if failure is None:
                    resident.enter()
                    turn.set_result(None)
                else:
                    turn.set_exception(failure)

    async def _swap_in(self, resident: Resident) -> None:
        if resident.dismissed:
            raise UnknownAdapterError(f"adapter {resident.loaded.name} was removed")
        inside = [each for each in self._all if each.in_memory]
        if len(inside) >= self._capacity:
            free = [each for each in inside if not each.pinned]
            await self._send_away(min(free, key=lambda each: (each.in_flight > 0, each.used)))
        await self._load(resident.loaded)
        resident.in_memory = True

    async def _see_off(self, resident: Resident) -> None:
        await resident.idle.wait()
        async with self._swap:
            if resident.in_memory:
                await self._send_away(resident)
            self._all.remove(resident)

    async def _send_away(self, resident: Resident) -> None:
        resident.in_memory = False  # new questions for it wait until this is over, and bring it back
        await resident.idle.wait()
        await self._unload(resident.loaded)

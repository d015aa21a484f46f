"""Queries that are at the language model: sent off one by one, taken back as they are answered, late or recalled."""

import time
from collections import deque
from collections.abc import Coroutine, Iterable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any

from streams.worker.deciding import Asked
from trainer.deciders.base import Decision
from trainer.deciders.language.host import ModelHost
from trainer.deciders.language.model import ModelUnavailable
from trainer.deciders.language.options import groups_of
from twin_store.messages import Query

LATE = TimeoutError("late")


@dataclass(eq=False, slots=True)
class Flight:
    """A query at the model.

    Attributes:
        prompts: how many prompts it is there.
        until: when it is late, monotonic seconds.
    """

    asked: Asked
    prompts: int
    until: float
    future: Future[Decision] | None = None


@dataclass(frozen=True, slots=True)
class Landing:
    """A query that is back: what the model said, or the exception that stands in for it (`LATE`)."""

    asked: Asked
    outcome: Decision | BaseException


class Pool:
    """The flights. All calls come from one thread; the model's loop only notes who has landed.

    Attributes:
        in_flight: prompts at the model.
    """

    def __init__(self, host: ModelHost, in_flight_max: int, linger_s: float) -> None:
        """`in_flight_max` prompts fill it; answers wait `linger_s` for others, to be published with them."""
        self.in_flight = 0
        self._host = host
        self._most = in_flight_max
        self._linger_s = linger_s
        self._flights: set[Flight] = set()
        self._landed: deque[tuple[Flight, float]] = deque()
        self._next_late = float("inf")

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def room(self) -> int:
        """How many prompts may take off. Below 0 after a query that had more: it is not parted."""
        return self._most - self.in_flight

    def launch(self, flight: Flight, call: Coroutine[Any, Any, Decision]) -> None:
        """Send a query off. Raises `ModelUnavailable` if the model is away."""
        flight.future = self._host.submit(call)
        self._flights.add(flight)
        self.in_flight += flight.prompts
        self._next_late = min(self._next_late, flight.until)
        flight.future.add_done_callback(lambda _: self._landed.append((flight, time.monotonic())))

    def due(self, now: float) -> bool:
        """Whether there is somebody to take in: back for the linger, or late."""
        return now >= self._next_late or bool(self._landed and now - self._landed[0][1] >= self._linger_s)

    def landings(self, now: float) -> list[Landing]:
        """Who is back, and who is late and was taken back."""
        found = []
        while self._landed:
            flight, _ = self._landed.popleft()
            if flight in self._flights:
                self._forget([flight])
                found.append(Landing(flight.asked, _outcome(flight)))
        late = [flight for flight in self._flights if now >= flight.until]
        self._recall(late)
        found += [Landing(flight.asked, LATE) for flight in late]
        self._next_late = min((flight.until for flight in self._flights), default=float("inf"))
        return found

    def recall(self, partition: int | None = None) -> None:
        """Take back the queries of a partition, or all; they are read again."""
        self._recall([f for f in self._flights if partition is None or f.asked.partition == partition])

    def _recall(self, flights: list[Flight]) -> None:
        self._forget(flights)
        for flight in flights:
            if flight.future is not None:
                flight.future.cancel()

    def _forget(self, flights: Iterable[Flight]) -> None:
        for flight in flights:
            self._flights.discard(flight)
            self.in_flight -= flight.prompts


def prompts_of(query: Query) -> int:
    """About how many prompts a query is."""
    match query.kind:
        case "voucher_redemption" | "trip_choice":
            return 2
        case "basket_completion":
            return len(groups_of(len(query.subject.candidates)))
        case "purchase" | "promotion_response":
            return max(1, len(query.subject.candidates))
        case _:
            return 1


def _outcome(flight: Flight) -> Decision | BaseException:
    assert flight.future is not None, "it was launched"
    try:
        return flight.future.result()
    except CancelledError:
        return ModelUnavailable("the question was dropped when the model went away")
    except Exception as error:
        return error

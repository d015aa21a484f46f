"""A circuit breaker: after too many failures nobody asks for a while, then one question tries whether it works again.

Pure but for the clock that it is given. To be used on one event loop.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from trainer.deciders.language.model import ModelUnavailable


class State(StrEnum):
    """Of the circuit. Closed lets everything through, open nothing, half-open one probe at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True)
class BreakerSettings:
    """When it opens and for how long.

    Attributes:
        window_s: outcomes older than this are forgotten.
        calls_min: with fewer outcomes in the window it stays closed.
        failure_share: of the window's outcomes; with as many failures it opens.
        open_s: how long nothing is asked then.
    """

    window_s: float = 10.0
    calls_min: int = 10
    failure_share: float = 0.5
    open_s: float = 5.0

    def __post_init__(self) -> None:
        """Raises `ValueError` for bounds that make no sense."""
        if self.window_s <= 0 or self.open_s <= 0 or self.calls_min < 1 or not 0 < self.failure_share <= 1:
            raise ValueError("a breaker needs times above 0, a call at least, and a share above 0 up to 1")


class CircuitBreaker:
    """Counts how calls end. Attributes: `opened` is how often it has opened."""

    def __init__(self, settings: BreakerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.opened = 0
        self._settings = settings
        self._clock = clock
        self._outcomes: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._open_until: float | None = None
        self._probe: Call | None = None
        self._epoch = 0

    @property
    def state(self) -> State:
        """As of now: an open circuit becomes half-open by itself."""
        if self._open_until is None:
            return State.CLOSED
        return State.OPEN if self._clock() < self._open_until else State.HALF_OPEN

    def admit(self) -> "Call":
        """Leave to make one call, which must be told how it ended. Raises `ModelUnavailable` if there is none."""
        state = self.state
        if state is State.OPEN:
            raise ModelUnavailable("not asked, for it failed too often")
        call = Call(self, self._epoch)
        if state is State.HALF_OPEN:
            if self._probe is not None:
                raise ModelUnavailable("not asked, for another question is trying whether it works again")
            self._probe = call
        return call

    def _ended(self, call: "Call", failed: bool | None) -> None:
        """`failed` None: it says nothing. What began before the circuit last changed is old news."""
        if call is self._probe:
            self._probe = None
            if failed is not None:
                self._change(self._clock() + self._settings.open_s if failed else None)
        elif failed is not None and call.epoch == self._epoch and self._open_until is None:
            self._count(failed)

    def _count(self, failed: bool) -> None:
        now = self._clock()
        self._outcomes.append((now, failed))
        self._failures += failed
        while self._outcomes[0][0] <= now - self._settings.window_s:
            self._failures -= self._outcomes.popleft()[1]
        count = len(self._outcomes)
        if count >= self._settings.calls_min and self._failures >= self._settings.failure_share * count:
            self._change(now + self._settings.open_s)

    def _change(self, open_until: float | None) -> None:
        self._open_until = open_until
        self._epoch += 1
        self.opened += open_until is not None
        self._outcomes.clear()
        self._failures = 0


class Call:
    """One call that was let through. Of what it is told only the first counts."""

    def __init__(self, breaker: CircuitBreaker, epoch: int) -> None:
        self.epoch = epoch
        self._breaker = breaker
        self._is_told = False

    def succeeded(self) -> None:
        """It was answered."""
        self._tell(False)

    def failed(self) -> None:
        """It was not, and that is not the question's fault."""
        self._tell(True)

    def withdrawn(self) -> None:
        """It says nothing of the model: the question was bad, or taken back. A probe's place is free again."""
        self._tell(None)

    def _tell(self, failed: bool | None) -> None:
        if not self._is_told:
            self._is_told = True
            self._breaker._ended(self, failed)

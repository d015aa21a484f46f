"""What the planner remembers of one customer: one value, so that position and result are stored together.

Bounded: a few days of budget, the questions still cooling down, a few open carts. Event time only.
"""

from __future__ import annotations

import msgspec

from twin_store.messages.codec import SECONDS_PER_DAY

BUDGET_DAYS = 16
COOLING_MAX = 400
ANSWERED_MAX = 100
CARTS_MAX = 4
CART_ITEMS_MAX = 50
CART_IDLE_S = 12 * 3600


class Cart(msgspec.Struct, array_like=True):
    """The open cart of a session: its skus in order, each once, and when it was last touched (epoch seconds)."""

    touched: int
    skus: list[str]


class Ledger(msgspec.Struct, array_like=True):
    """One customer. New fields go to the end, with a default.

    Attributes:
        offsets: by source, the last offset that is included; what comes at or before it came already.
        as_of: epoch seconds of her latest profile, 0 before the first.
        first_seen, last_basket: her first and latest receipt, 0 before the first.
        store: where she shops most.
        regulars: what she buys regularly, most often first.
        spent: by day since 1970, the questions asked about her.
        cooling: by question and product (64-bit key), when it may be asked again.
        carts: by session.
        answered: the latest requests about her (64-bit keys). Somebody who asks goes by another clock than her
            events, so these rest by number and not by time.
    """

    offsets: dict[str, int] = {}
    as_of: int = 0
    first_seen: int = 0
    last_basket: int = 0
    consent: bool = False
    store: str | None = None
    regulars: list[str] = []
    spent: dict[int, int] = {}
    cooling: dict[int, int] = {}
    carts: dict[str, Cart] = {}
    answered: list[int] = []

    @property
    def known(self) -> bool:
        """Whether she has a twin."""
        return self.as_of > 0

    def includes(self, source: str, offset: int) -> bool:
        """Whether the record at this offset is included already."""
        return offset <= self.offsets.get(source, -1)

    def include(self, source: str, offset: int) -> None:
        """Note that the record at this offset is included."""
        self.offsets[source] = offset

    def spent_on(self, at: int) -> int:
        """How many questions were asked on the day of `at`."""
        return self.spent.get(at // SECONDS_PER_DAY, 0)

    def spend(self, at: int) -> None:
        """Note a question on the day of `at`. The days least lately spent on are forgotten."""
        day = at // SECONDS_PER_DAY
        self.spent[day] = self.spent.pop(day, 0) + 1
        while len(self.spent) > BUDGET_DAYS:
            del self.spent[next(iter(self.spent))]

    def is_cooling(self, question: int, at: int) -> bool:
        """Whether the question was asked too lately to be asked at `at`."""
        return at < self.cooling.get(question, at)

    def cool(self, question: int, until: int) -> None:
        """Do not ask the question again before `until`."""
        self.cooling[question] = max(until, self.cooling.get(question, until))
        if len(self.cooling) > COOLING_MAX:
            del self.cooling[min(self.cooling, key=lambda key: (self.cooling[key], key))]

    def answer(self, request: int) -> None:
        """Note that this request was put to her."""
        self.answered = [*self.answered, request][-ANSWERED_MAX:]

    def tidy(self) -> None:
        """Drop what has cooled down and the carts left standing, by her own clock."""
        self.cooling = {question: until for question, until in self.cooling.items() if until > self.as_of}
        latest = max([self.as_of, *(cart.touched for cart in self.carts.values())])
        fresh = {s: cart for s, cart in self.carts.items() if cart.touched > latest - CART_IDLE_S}
        newest = sorted(fresh, key=lambda session: (fresh[session].touched, session))[-CARTS_MAX:]
        self.carts = {session: fresh[session] for session in newest}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Ledger)


def encode(ledger: Ledger) -> bytes:
    """The ledger's bytes."""
    return _encoder.encode(ledger)


def decode(data: bytes | None) -> Ledger:
    """The ledger of these bytes, or a new one."""
    return Ledger() if data is None else _decoder.decode(data)

"""A small world from a seed: customers, their events, the order they arrive in, and the faults on the way."""

import random
from dataclasses import dataclass

from tests.twin_store.dna.oracle import Click, Event, Line
from twin_store.dna.layout import RETURN_DAYS
from twin_store.messages.codec import SECONDS_PER_DAY

START_DAY = 17_000
DELAY_DAYS_MAX = 10  # arrival behind event time, below the lateness that the fold forgives
SKUS = tuple(range(-3, 9))


@dataclass(frozen=True)
class Arrival:
    """One record of the source log."""

    customer: str
    what: Event | Click


def draw_world(rng: random.Random) -> tuple[list[Arrival], list[Arrival]]:
    """Everything that happened in order of time, and the log it arrived in: late, twice, out of order."""
    happened: list[Arrival] = []
    for number in range(rng.randint(1, 3)):
        happened += _customer(rng, f"c{number}", rng.choice((10, 60, 200, 1_200)))
    happened.sort(key=lambda arrival: arrival.what.second)
    arriving = []
    for arrival in happened:
        copies = 1 + (rng.random() < 0.1) + (rng.random() < 0.02)
        for _ in range(copies):
            delay = rng.random() * DELAY_DAYS_MAX if rng.random() < 0.2 else 0.0
            arriving.append((arrival.what.second + delay * SECONDS_PER_DAY, arrival))
    arriving.sort(key=lambda pair: pair[0])
    return happened, [arrival for _, arrival in arriving]


def _customer(rng: random.Random, customer: str, days: int) -> list[Arrival]:
    out: list[Arrival] = []
    for _ in range(rng.randint(1, 12)):
        second = (START_DAY + rng.randrange(days)) * SECONDS_PER_DAY + rng.randrange(SECONDS_PER_DAY)
        lines = tuple(_line(rng) for _ in range(rng.randint(1, 5)))
        txn = rng.getrandbits(62)
        out.append(Arrival(customer, Event(txn, "sale", second, rng.choice((1, 2)), 0, lines)))
        if rng.random() < 0.3:
            # Mostly within the days a return may take, sometimes beyond; a clock may say it was before.
            after = rng.randrange(-2 * SECONDS_PER_DAY, (RETURN_DAYS + 20) * SECONDS_PER_DAY)
            kind = rng.choice(("return", "return", "void"))
            back = tuple(rng.sample(lines, rng.randint(1, len(lines)))) if kind == "return" else ()
            out.append(Arrival(customer, Event(rng.getrandbits(62), kind, second + after, 1, txn, back)))
    for _ in range(rng.randint(0, 4)):
        out += _session(rng, customer, days)
    return out


def _line(rng: random.Random) -> Line:
    units = rng.choice((0, 1000, 1000, 2000, 333))
    net = rng.randrange(2000)
    discount = rng.choice((0, 0, 25))
    return Line(rng.choice(SKUS), (1, units, net, discount, 0, int(discount > 0), 0, 1))


def _session(rng: random.Random, customer: str, days: int) -> list[Arrival]:
    second = (START_DAY + rng.randrange(days)) * SECONDS_PER_DAY
    session = rng.getrandbits(62)
    return [
        Arrival(
            customer,
            Click(
                rng.getrandbits(62),
                second + rng.randrange(3600) + rng.choice((0, 0, 0, 15 * SECONDS_PER_DAY)),
                session,
                rng.randrange(6),
                rng.choice((0, *SKUS)),
            ),
        )
        for _ in range(rng.randint(1, 6))
    ]

"""Made-up weeks of one segment, straight into windows: trips and settled answers, as they are or shifted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from streams.agents.drift_readings import Judge
from streams.agents.drift_windows import Window
from trainer.drift.performance import Tally
from trainer.drift.rule import Thresholds
from trainer.drift.visits import DAY_S, Visit, Visits

CUSTOMERS = 400
WEEK_S = 7 * DAY_S
TRIPS_A_WEEK = 1.8
OPTIONS = 4
SEGMENT = "regulars"
Shift = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


class Shoppers:
    """Customers who keep their habits: baskets, prices, stores, hours."""

    def __init__(self, seed: int) -> None:
        self._chance = np.random.default_rng(seed)
        self._lines = self._chance.gamma(3.0, 4.0, CUSTOMERS)
        self._price = self._chance.gamma(6.0, 50.0, CUSTOMERS)
        self._share = self._chance.beta(4.0, 6.0, CUSTOMERS)  # of her spend that is of the one category
        self._store = self._chance.choice(6, CUSTOMERS, p=[0.3, 0.25, 0.2, 0.12, 0.08, 0.05])
        self._stage = self._chance.choice(4, CUSTOMERS, p=[0.4, 0.3, 0.2, 0.1])
        self._likes = self._chance.beta(1.5, 8.0, CUSTOMERS)

    def trips(self, start: int, shift: Shift | None) -> Visits:
        """A week's trips."""
        chance = self._chance
        who = np.repeat(np.arange(CUSTOMERS), chance.poisson(TRIPS_A_WEEK, CUSTOMERS))
        found = {
            "lines": np.maximum(1, chance.poisson(self._lines[who])),
            "price": self._price[who] * chance.lognormal(0, 0.3, len(who)),
            "share": self._share[who],
            "store": self._store[who],
            "stage": self._stage[who],
            "second": start + chance.integers(0, WEEK_S, len(who)),
            "gap": chance.exponential(WEEK_S / TRIPS_A_WEEK, len(who)) + 3_600,
        }
        if shift is not None:
            found = shift(found)
        visits = Visits()
        for i in range(len(who)):
            visits.add(
                Visit(
                    int(found["second"][i]),
                    float(found["lines"][i]),
                    float(found["price"][i] * found["lines"][i]),
                    float(found["gap"][i]),
                    f"s{found['store'][i]}",
                    "store",
                    f"stage-{found['stage'][i]}",
                )
            )
        return visits

    def answers(self, factor: float = 1.0) -> Tally:
        """A week's answers: what is said is true on average, unless what she does comes `factor` times as often."""
        tally = Tally()
        for customer in range(CUSTOMERS):
            said = np.clip(self._likes[customer] * self._chance.lognormal(0, 0.3, OPTIONS), 0.01, 0.9)
            came = self._chance.random(OPTIONS) < said * factor
            tally.add(str(customer), said.tolist(), came.astype(int).tolist())
        return tally


def price_of_a_category_doubled(trips: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What is 40 % of the spend, on average, costs twice as much."""
    return trips | {"price": trips["price"] * (1 + trips["share"])}


def store_closed(trips: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Its customers go to the next one."""
    return trips | {"store": np.where(trips["store"] == 0, 1, trips["store"])}


def new_life_stage(trips: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A third of them have children now, and larger baskets."""
    changed = np.arange(len(trips["stage"])) % 3 == 0
    return trips | {
        "stage": np.where(changed, 9, trips["stage"]),
        "lines": np.where(changed, 2 * trips["lines"], trips["lines"]),
    }


SHIFTS = {
    "a category's price doubled": price_of_a_category_doubled,
    "a store closed": store_closed,
    "a new life stage": new_life_stage,
}


def watched(
    seed: int, weeks: int, shift: Shift | None = None, shifted_from: int = 0, factor: float = 1.0
) -> list[int]:
    """The weeks, by number, in which the monitor's own judge trips; the shift begins with week `shifted_from`."""
    shoppers = Shoppers(seed)
    baseline = Visits().add_all(shoppers.trips(week * WEEK_S, None) for week in range(8))
    judge = Judge(WEEK_S, lambda _: baseline, lambda _: Thresholds())
    tripped = []
    for week in range(weeks):
        is_shifted = week >= shifted_from
        window = Window(
            shoppers.trips((10 + week) * WEEK_S, shift if is_shifted else None),
            {"v1": shoppers.answers(factor if is_shifted else 1.0)},
        )
        closed = judge.close(SEGMENT, (10 + week) * WEEK_S, [window])
        if closed is not None and closed.trip is not None:
            tripped.append(week)
    return tripped

"""The trips and the assortment of a history, numbered, for cases to be drawn from."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from trainer.tasks.history import History
from trainer.tasks.replay import keys_of
from twin_store.messages.codec import FIRST_MONDAY, SECONDS_PER_DAY, week_of_day

LONG_WEEKS, SHORT_WEEKS = 8, 2  # popularity is matched over both: one alone would betray what is rising
SOLD_MIN = 1  # lines over the long window for a product to count as on sale


@dataclass(frozen=True)
class Trips:
    """Sales in order of time; a trip is a receipt. `items[starts[i]:starts[i + 1]]` are its products, each once.

    Attributes:
        customers, stores: by trip, numbers into `customer_ids` and `store_ids`.
        seconds: by trip.
        previous: by trip, the same customer's trip before, -1 for her first.
    """

    customer_ids: list[str]
    store_ids: list[str | None]
    customers: np.ndarray
    stores: np.ndarray
    seconds: np.ndarray
    starts: np.ndarray
    items: np.ndarray
    previous: np.ndarray

    @classmethod
    def of(cls, history: History, skus: list[str]) -> Self:
        """The sales of a history, products numbered by their place in `skus`, which holds them all."""
        numbers = pl.DataFrame({"sku": skus}, schema={"sku": pl.String}).with_row_index("item")
        sold = history.lines.filter((pl.col("kind") == "sale") & pl.col("sku").is_not_null())
        trips = (
            sold.join(numbers, on="sku", maintain_order="left")
            .group_by("customer_id", "transaction_id", maintain_order=True)
            .agg(pl.col("second", "store_id").first(), pl.col("item").unique().sort())
            .sort("second", maintain_order=True)
        )
        store_ids: list[str | None] = sorted(trips["store_id"].drop_nulls().unique().to_list())
        customers = _numbers(trips["customer_id"])
        counts = trips["item"].list.len().cast(pl.Int64).to_numpy()
        return cls(
            trips["customer_id"].unique().sort().to_list(),
            [*store_ids, None],
            customers,
            np.where(trips["store_id"].is_null().to_numpy(), len(store_ids), _numbers(trips["store_id"])),
            trips["second"].to_numpy(),
            np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts))),
            trips["item"].explode().to_numpy().astype(np.int64),
            _previous_of(customers),
        )

    def __len__(self) -> int:
        return len(self.seconds)

    def basket(self, trip: int) -> np.ndarray:
        """The product numbers of a trip."""
        return self.items[self.starts[trip] : self.starts[trip + 1]]

    def between(self, start: int, end: int) -> np.ndarray:
        """The trips with `start` <= second < `end`."""
        return np.arange(*np.searchsorted(self.seconds, [start, end]))

    def repertoire(self, trip: int, days: int) -> np.ndarray:
        """What the trip's customer bought in the `days` before it, the trip itself not counted: each once."""
        since = self.seconds[trip] - days * SECONDS_PER_DAY
        found = [np.zeros(0, dtype=np.int64)]
        at = int(self.previous[trip])
        while at >= 0 and self.seconds[at] >= since:
            found.append(self.basket(at))
            at = int(self.previous[at])
        return np.unique(np.concatenate(found))


@dataclass(frozen=True, eq=False)
class Week:
    """What was on sale before a week: `long` and `short` are logs of the lines sold in those windows.

    `on_sale` are the products sold in the long window and `of_section` the same by section, least popular first;
    `sold` adds up the lines of `on_sale`.
    """

    long: np.ndarray
    short: np.ndarray
    on_sale: np.ndarray
    sold: np.ndarray
    of_section: dict[int, np.ndarray]


class Assortment:
    """All products ever sold, numbered: `skus`, their `keys`, their `sections` (numbers, -1 unknown)."""

    def __init__(self, history: History) -> None:
        weekly = history.weekly()
        self.skus: list[str] = sorted(weekly["sku"].unique().to_list())
        self.keys = keys_of(pl.Series(self.skus, dtype=pl.String))
        self.sections = _sections(history.catalogue, self.skus)
        numbers = pl.DataFrame({"sku": self.skus}, schema={"sku": pl.String}).with_row_index("number")
        counted = weekly.join(numbers, on="sku")
        weeks = counted["week"].to_numpy()
        self._first_week = int(weeks.min())
        self._lines = np.zeros((int(weeks.max()) - self._first_week + 1, len(self.skus)), dtype=np.float32)
        self._lines[weeks - self._first_week, counted["number"].to_numpy()] = counted["lines"].to_numpy()
        self._weeks: dict[int, Week] = {}

    def before(self, second: int) -> Week:
        """The completed weeks before the week of a moment."""
        week = week_of_day(second // SECONDS_PER_DAY)
        if week not in self._weeks:
            long = np.log1p(self._sold(week, LONG_WEEKS))
            on_sale = np.flatnonzero(long >= np.log1p(SOLD_MIN))
            on_sale = on_sale[np.argsort(long[on_sale], kind="stable")]
            by_section = on_sale[np.argsort(self.sections[on_sale], kind="stable")]
            sections, starts = np.unique(self.sections[by_section], return_index=True)
            parts = np.split(by_section, starts[1:])
            self._weeks[week] = Week(
                long,
                np.log1p(self._sold(week, SHORT_WEEKS)),
                on_sale,
                np.cumsum(np.expm1(long[on_sale])),
                {s: part for s, part in zip(sections.tolist(), parts, strict=True) if s >= 0},
            )
        return self._weeks[week]

    def _sold(self, week: int, weeks: int) -> np.ndarray:
        end = week - self._first_week
        return np.asarray(self._lines[max(0, end - weeks) : max(0, end)].sum(axis=0))


class Listings:
    """Which store had sold which product before which week."""

    def __init__(self, trips: Trips, listed: pl.DataFrame, skus: list[str]) -> None:
        """`listed` as `History.listed`; `skus` are the products by number. Receipts without a store are one store."""
        lengths = np.diff(trips.starts)
        weeks = np.repeat((trips.seconds // SECONDS_PER_DAY - FIRST_MONDAY) // 7, lengths)
        nowhere = np.repeat(trips.stores, lengths) == len(trips.store_ids) - 1
        number = {store: place for place, store in enumerate(trips.store_ids)}
        known = listed.filter(pl.col("store_id").is_in([store for store in trips.store_ids if store]))
        numbers = pl.DataFrame({"sku": skus}, schema={"sku": pl.String}).with_row_index("item")
        known = known.join(numbers, on="sku")
        stores = np.array([number[store] for store in known["store_id"]], dtype=np.int64)
        self._products = len(skus)
        pairs = stores * self._products + known["item"].cast(pl.Int64).to_numpy()
        elsewhere = (len(trips.store_ids) - 1) * self._products + trips.items[nowhere]
        pairs = np.concatenate((pairs, elsewhere))
        since = np.concatenate((known["week"].to_numpy(), weeks[nowhere]))
        order = np.lexsort((since, pairs))
        self._pairs, first = np.unique(pairs[order], return_index=True)
        self._since = since[order][first]

    def sold_before(self, store: int, second: int, items: np.ndarray) -> np.ndarray:
        """Whether the store had sold each item in a week before that of the moment: bool [n]."""
        pairs = store * self._products + items
        places = np.minimum(np.searchsorted(self._pairs, pairs), len(self._pairs) - 1)
        week = week_of_day(second // SECONDS_PER_DAY)
        return np.asarray((self._pairs[places] == pairs) & (self._since[places] < week))


def _sections(catalogue: pl.DataFrame, skus: list[str]) -> np.ndarray:
    if "section" not in catalogue.columns:
        return np.full(len(skus), -1, dtype=np.int64)
    frame = pl.DataFrame({"sku": skus}, schema={"sku": pl.String})
    found = frame.join(catalogue.select("sku", "section"), on="sku", how="left", maintain_order="left")
    return _numbers(found["section"])


def _numbers(texts: pl.Series) -> np.ndarray:
    """Distinct texts in order as 0, 1, 2...; -1 for null."""
    return (texts.rank("dense").cast(pl.Int64) - 1).fill_null(-1).to_numpy()


def _previous_of(customers: np.ndarray) -> np.ndarray:
    order = np.argsort(customers, kind="stable")
    previous = np.full(len(customers), -1, dtype=np.int64)
    same = customers[order][1:] == customers[order][:-1]
    previous[order[1:][same]] = order[:-1][same]
    return previous

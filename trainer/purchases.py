"""The sales of a history as integers: what the fitted tables are counted from."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from trainer.tasks.history import History
from trainer.tasks.replay import keys_of
from twin_store.catalogue import UNKNOWN, Catalogue
from twin_store.key_index import ABSENT
from twin_store.messages.codec import SECONDS_PER_DAY


def rows_among(names: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Where each key stands among ascending names, ABSENT where it does not: int64 [keys]."""
    if not len(names):
        return np.full(len(keys), ABSENT, dtype=np.int64)
    places = np.minimum(np.searchsorted(names, keys), len(names) - 1)
    return np.where(names[places] == keys, places, ABSENT)


@dataclass(frozen=True)
class Purchases:
    """Sales as integers, in order of time: who bought what when, in which basket."""

    customers: np.ndarray
    baskets: np.ndarray
    days: np.ndarray
    seconds: np.ndarray
    skus: np.ndarray
    types: np.ndarray
    sections: np.ndarray
    stores: np.ndarray

    @classmethod
    def of(cls, history: History, catalogue: Catalogue) -> "Purchases":
        """The sale lines of a history; `skus`, `types`, `sections` and `stores` are keys."""
        sold = history.lines.filter((pl.col("kind") == "sale") & pl.col("sku").is_not_null())
        skus = keys_of(sold["sku"])
        rows = catalogue.rows_of(skus)
        known = rows != ABSENT
        types, sections = np.full((2, len(skus)), UNKNOWN, dtype=np.int64)
        types[known] = catalogue.tables().item_type[rows[known]]
        sections[known] = catalogue.tables().section[rows[known]]
        seconds = sold["second"].to_numpy()
        return cls(
            sold["customer_id"].rank("dense").to_numpy().astype(np.int64),
            sold.select(pl.struct("customer_id", "transaction_id").rank("dense"))
            .to_series()
            .to_numpy()
            .astype(np.int64),
            seconds // SECONDS_PER_DAY,
            seconds,
            skus,
            types,
            sections,
            keys_of(sold["store_id"]),
        )

    def before(self, second: int) -> "Purchases":
        """Those before a moment."""
        count = int(np.searchsorted(self.seconds, second))
        return Purchases(*(getattr(self, name)[:count] for name in self.__dataclass_fields__))

"""What a lake tells of cases: the twins behind them, and products, shelves and campaigns as they stood then."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

import numpy as np
import polars as pl

from trainer.fidelity.external import ASKED_AS, CaseError, ExternalCase
from trainer.tasks.cases import Case
from trainer.tasks.history import History, after_the_newest
from trainer.tasks.replay import Replay
from trainer.tasks.shelves import DISPLAY, MAILER, holds
from trainer.tasks.workshop import market_of
from twin_store.catalogue import Catalogue
from twin_store.evidence import Products
from twin_store.lake import Lake
from twin_store.lake.layout import CATALOG, PROMOTIONS
from twin_store.lake.scan import Selection, decoded, latest
from twin_store.messages.codec import instant_of
from twin_store.messages.decisions import Environment, ProductContext, QuestionKind, Subject
from twin_store.symbols import key_of

AFTER_NEWEST_S = 366 * 86_400  # promotions may start after the newest receipt
SHELVES_BEFORE_DAYS = 63  # displays and mailers that started longer ago are over


@dataclass(frozen=True, eq=False)
class Campaign:
    """What is said of a campaign; `coupons` are (starts, covered skus), earliest first."""

    campaign_type: str | None
    starts: int
    ends: int
    coupons: tuple[tuple[int, tuple[str, ...]], ...]

    def covered(self, as_of: int) -> list[str]:
        """What its vouchers cover as far as that was known at a moment, or from its own start."""
        return _covered(self, sum(starts <= max(as_of, self.starts) for starts, _ in self.coupons))


class Known:
    """A lake up to the last of some cases. No case sees what came after its own moment."""

    def __init__(
        self, lake: Lake, cases: Sequence[ExternalCase], say: Callable[[str], None] = lambda line: None
    ) -> None:
        """Raises `NotEnoughHistoryError` if no receipt came before the last case."""
        self._lake = lake
        # Nothing is known of what is still to come, however late a case says it is asked.
        last = min(
            max(case.as_of for case in cases), int(after_the_newest(lake).timestamp()) + AFTER_NEWEST_S
        )
        without = [case.as_of for case in cases if _reads_shelves(case)]
        shelves_from = min(without) - 86_400 * SHELVES_BEFORE_DAYS if without else last + 1
        self.history = History.from_lake(lake, instant_of(last + 1), instant_of(shelves_from), say)
        self.replay = Replay(self.history)
        self._market = market_of(self.history)
        self._changes = _catalogue_changes(lake, min(case.as_of for case in cases), last)
        self._products: dict[int, Products] = {}
        self._campaigns = _campaigns(lake) if any(case.campaign_id for case in cases) else {}
        self._vouchers: dict[
            tuple[object, ...], Subject
        ] = {}  # thousands of products, the same for an audience

    def catalogue_at(self, as_of: int) -> int:
        """The number of the catalogue that was valid at a moment: moments of one number have the same products."""
        return bisect_left(self._changes, as_of + 1)

    def products_at(self, as_of: int) -> Products:
        """Catalogue and market as of a moment."""
        number = self.catalogue_at(as_of)
        if number not in self._products:
            frame = self._lake.scan_catalog(instant_of(as_of + 1) - timedelta(microseconds=1)).collect()
            currency = self.history.currency
            self._products[number] = Products(Catalogue.from_frame(frame, currency), self._market, currency)
        return self._products[number]

    def case_of(self, external: ExternalCase) -> Case:
        """The case that a decider is asked. Raises `CaseError` if the lake does not know its campaign."""
        return Case(
            _asked_kind(external),
            external.customer_id,
            external.as_of,
            self._subject(external),
            Environment(store_id=external.store_id, context=self.context(external, external.candidates)),
            (),
            (),
            external.matched,
        )

    def _subject(self, external: ExternalCase) -> Subject:
        if external.kind != "voucher_redemption":
            # Not validated: the limits of a message on a topic are none of a file's.
            return Subject.model_construct(
                candidates=list(external.candidates),
                partial_basket=list(external.partial_basket),
                baskets=[list(basket) for basket in external.baskets],
            )
        campaign = self._campaigns.get(external.campaign_id or "")
        covered = campaign.covered(external.as_of) if campaign else []
        if campaign is None or not covered:
            raise CaseError(f"no vouchers of campaign {external.campaign_id} are known")
        kind = external.campaign_type or campaign.campaign_type
        ends = campaign.ends if external.ends is None else external.ends
        key = external.campaign_id, kind, ends, len(covered)  # coupons are only ever added as time goes on
        if key not in self._vouchers:
            self._vouchers[key] = Subject(
                campaign_id=external.campaign_id,
                campaign_type=kind,
                voucher_skus=covered,
                ends_at=instant_of(ends),
            )
        return self._vouchers[key]

    def context(self, external: ExternalCase, skus: Sequence[str]) -> list[ProductContext]:
        """What the case says of these products, else what the lake's shelves say of them."""
        if not _reads_shelves(external):
            return list(external.context or ())
        keys = np.array([key_of(sku) for sku in skus], dtype=np.int64)
        shelves = self.history.shelves
        flags = [
            holds(shelves.promoted(kind, external.store_id, external.as_of), keys).tolist()
            for kind in (DISPLAY, MAILER)
        ]
        return [
            ProductContext(sku=sku, display=display, mailer=mailer)
            for sku, display, mailer in zip(skus, *flags, strict=True)
        ]


def _reads_shelves(external: ExternalCase) -> bool:
    """Whether displays and mailers are looked up: nothing is said of its products, and the store is known."""
    has_products = bool(external.candidates) or external.kind == "next_basket"
    return has_products and external.context is None and external.store_id is not None


@lru_cache(maxsize=256)
def _covered(campaign: Campaign, known: int) -> list[str]:
    """What the first so many of its coupons cover: an audience is asked about it all at once."""
    return sorted({sku for _, skus in campaign.coupons[:known] for sku in skus})


def _asked_kind(external: ExternalCase) -> QuestionKind:
    return ASKED_AS.get(external.kind) or external.kind  # type: ignore[return-value]


def _catalogue_changes(lake: Lake, first: int, last: int) -> list[int]:
    """The seconds after `first`, up to `last`, at which the catalogue changed."""
    frame = lake.scan(CATALOG, Selection(instant_of(first + 1), instant_of(last + 1)))
    found = frame.select(pl.col(CATALOG.at).dt.epoch("s").unique().sort()).collect()
    return [int(second) for second in found.to_series().to_list()]


def _campaigns(lake: Lake) -> dict[str, Campaign]:
    # Displays are many: they are left out before anything is decoded.
    frame = lake.scan(PROMOTIONS, Selection()).filter(pl.col("kind").is_in(("campaign", "coupon")))
    newest = latest(frame, PROMOTIONS, "promotion_id")
    rows = (
        decoded(newest, PROMOTIONS)
        .select(
            pl.coalesce("campaign_id", "promotion_id").alias("campaign"),
            "kind",
            "campaign_type",
            pl.col("starts_at").dt.epoch("s").alias("starts"),
            pl.col("ends_at").dt.epoch("s").alias("ends"),
            pl.col("items").list.eval(pl.element().struct.field("sku")).alias("skus"),
        )
        .collect()
    )
    coupons: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
    for campaign, kind, _, starts, _, skus in rows.iter_rows():
        if kind == "coupon":
            coupons.setdefault(campaign, []).append((starts, tuple(skus or ())))
    return {
        campaign: Campaign(campaign_type, starts, ends, tuple(sorted(coupons.get(campaign, ()))))
        for campaign, kind, campaign_type, starts, ends, _ in rows.iter_rows()
        if kind == "campaign"
    }

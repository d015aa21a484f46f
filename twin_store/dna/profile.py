"""A twin as its published profile: the Shopping-DNA with names (LBM, section 3.2)."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from twin_store.dna.layout import (
    H_EVENTS,
    H_FIRST_SECOND,
    H_FUNNEL,
    H_HOUR,
    H_LAST_SECOND,
    H_MEASURE,
    H_RECEIPTS,
    H_RETURNED_LINES,
    H_SESSIONS,
    H_WEEKDAY,
    M_LINES,
    M_NET,
    M_UNITS,
    READ_WEEKS,
)
from twin_store.dna.preferences import LEVELS, USUALS, Groups, Products, preferences, products_table
from twin_store.dna.reading import (
    BEFORE_WEEKS,
    RECENT_WEEKS,
    WindowTotals,
    regular_items,
    visits_by_key,
    window_totals,
)
from twin_store.dna.twin import Twin
from twin_store.key_index import KeyIndex
from twin_store.messages.codec import SECONDS_PER_DAY, day_text, instant_of, minor_digits, to_money
from twin_store.messages.decisions import SourceOffset
from twin_store.messages.profiles import (
    Activity,
    BasketStatistics,
    CategoryPreference,
    Funnel,
    Profile,
    Promotion,
    RegularItem,
    ShoppingDna,
    Timing,
    Trend,
)
from twin_store.messages.wire import struct_for
from twin_store.symbols import visit_parts

STORES_MAX = 5
# SimPersona, section 3.1: W = 3 add-to-cart + 5 checkout-start + 8 purchase; intent = W / (sessions + W).
INTENT_WEIGHTS = (3, 5, 8)
LIFE_STAGE_KEYS = ("life_stage", "household_comp", "age")

_Profile, _Dna = struct_for(Profile), struct_for(ShoppingDna)
_Activity, _Basket, _Category = (
    struct_for(Activity),
    struct_for(BasketStatistics),
    struct_for(CategoryPreference),
)
_Regular, _Promotion, _Timing = struct_for(RegularItem), struct_for(Promotion), struct_for(Timing)
_Trend, _Funnel, _Offset = struct_for(Trend), struct_for(Funnel), struct_for(SourceOffset)


class ProductNames:
    """What the numbers of a profile are called: names of section, type and brand codes, and the tables to read by."""

    def __init__(self, products: Products, sections: list[str], types: list[str], brands: list[str]) -> None:
        self.products = products
        self.sections = sections
        self.types = types
        self.brands = brands

    @classmethod
    def none(cls) -> "ProductNames":
        """For a reader that knows nothing of the products."""
        index = KeyIndex()
        groups, usual = np.zeros((0, LEVELS), dtype=np.int64), np.zeros((0, USUALS))
        return cls(products_table(index, groups, usual, np.zeros(LEVELS, dtype=np.int64)), [], [], [])


class ProfileWriter:
    """Renders twins as profile messages in one currency."""

    def __init__(self, currency: str) -> None:
        self._digits = minor_digits(currency)
        self._encode = msgspec.json.Encoder().encode

    def write(
        self,
        customer_id: str,
        twin: Twin,
        names: ProductNames,
        symbols: Mapping[int, str],
        offsets: tuple[Any, ...],
    ) -> tuple[str, bytes]:
        """The profile's content hash and JSON bytes; `offsets` come from `source_offsets`."""
        profile = self.profile(customer_id, twin, names, symbols, offsets)
        return profile.content_hash, self._encode(profile)

    def profile(
        self,
        customer_id: str,
        twin: Twin,
        names: ProductNames,
        symbols: Mapping[int, str],
        offsets: tuple[Any, ...],
    ) -> Any:
        """The profile as a struct with the fields of `Profile`."""
        about = msgspec.json.decode(twin.about) if twin.about else {}
        return _Profile(
            customer_id=customer_id,
            as_of=instant_of(twin.last_second or twin.about_second),
            content_hash=twin.content_hash(),
            events_folded=int(twin.head[H_EVENTS]),
            personalisation_consent=about.get("personalisation_consent", True),
            offsets=offsets,
            dna=self._dna(twin, names, symbols, about.get("demographics", {})),
        )

    def _dna(
        self, twin: Twin, names: ProductNames, symbols: Mapping[int, str], demographics: dict[str, str]
    ) -> Any:
        head = twin.head.tolist()
        as_of = twin.last_second
        as_of_day = as_of // SECONDS_PER_DAY
        totals = window_totals(twin.cells, twin.visits, as_of_day)
        preferred = preferences(twin.cells, as_of_day, names.products)
        channels, stores = self._visits(twin, as_of_day, symbols)
        return _Dna(
            activity=self._activity(head),
            basket=self._basket(head, totals, as_of_day),
            categories=_groups(preferred.sections, names.sections, totals.lines),
            types=_groups(preferred.types, names.types, totals.lines),
            brands=_groups(preferred.brands, names.brands, totals.lines),
            regulars=_regulars(twin, as_of_day, symbols),
            promotion=_Promotion(
                deal_share=_share(totals.deal_lines, totals.lines),
                coupon_lines=totals.coupon_lines,
                discount_share=_share(totals.discount, totals.net + totals.discount),
                deal_lift=_rounded(preferred.deal_lift),
            ),
            timing=_Timing(by_hour=head[H_HOUR : H_HOUR + 24], by_weekday=head[H_WEEKDAY : H_WEEKDAY + 7]),
            channels=channels,
            stores=stores,
            trend=self._trend(head, totals, as_of),
            funnel=_funnel(head),
            price_tier=_rounded(preferred.price_tier),
            price_index=_rounded(preferred.price_index),
            life_stage=next((demographics[k] for k in LIFE_STAGE_KEYS if k in demographics), None),
            demographics=demographics,
        )

    def _money(self, minor: int) -> str:
        return to_money(minor, self._digits)

    def _activity(self, head: list[int]) -> Any:
        return _Activity(
            receipts=head[H_RECEIPTS],
            lines=head[H_MEASURE + M_LINES],
            units=head[H_MEASURE + M_UNITS] / 1000,
            spend=self._money(head[H_MEASURE + M_NET]),
            returned_lines=head[H_RETURNED_LINES],
            first_seen=instant_of(head[H_FIRST_SECOND]) if head[H_FIRST_SECOND] else None,
            last_seen=instant_of(head[H_LAST_SECOND]) if head[H_LAST_SECOND] else None,
        )

    def _basket(self, head: list[int], totals: WindowTotals, as_of_day: int) -> Any:
        first_day = max(head[H_FIRST_SECOND] // SECONDS_PER_DAY, as_of_day - 7 * READ_WEEKS)
        days = head[H_LAST_SECOND] // SECONDS_PER_DAY - first_day
        receipts, gaps = totals.receipts, totals.receipts - 1
        return _Basket(
            mean_spend=self._money(round(totals.receipt_net / receipts) if receipts > 0 else 0),
            mean_lines=_share(totals.receipt_lines, receipts, digits=2),
            days_between_trips=round(days / gaps, 2) if gaps > 0 else None,
        )

    def _visits(
        self, twin: Twin, as_of_day: int, symbols: Mapping[int, str]
    ) -> tuple[dict[str, int], dict[str, int]]:
        channels: dict[str, int] = {}
        stores: dict[str, int] = {}
        keys, receipts, _ = visits_by_key(twin.visits, as_of_day)
        for key, count in zip(keys.tolist(), receipts.tolist(), strict=True):
            channel, store = visit_parts(symbols[key])
            channels[channel] = channels.get(channel, 0) + count
            if store:
                stores[store] = stores.get(store, 0) + count
        most = sorted(stores.items(), key=lambda item: (-item[1], item[0]))[:STORES_MAX]
        return channels, dict(most)

    def _trend(self, head: list[int], totals: WindowTotals, as_of: int) -> Any:
        before = totals.before_net * RECENT_WEEKS / BEFORE_WEEKS
        return _Trend(
            days_since_last_receipt=round((as_of - head[H_LAST_SECOND]) / SECONDS_PER_DAY, 3)
            if head[H_LAST_SECOND]
            else None,
            spend_last_4_weeks=self._money(totals.recent_net),
            spend_ratio=round(totals.recent_net / before, 3) if before > 0 else None,
        )


def source_offsets(positions: Mapping[tuple[str, int], int]) -> tuple[Any, ...]:
    """The `offsets` of a profile, from {(topic, partition): next offset}."""
    return tuple(_Offset(topic=t, partition=p, offset=o) for (t, p), o in sorted(positions.items()))


def _groups(groups: Groups, names: list[str], lines: int) -> tuple[Any, ...]:
    # Most of a profile's time goes here, so there are no calls in between; what is not itself is NaN.
    return tuple(
        [
            _Category(
                category=names[code],
                share=round(count / lines, 4) if lines > 0 else 0.0,
                lines=count,
                price_tier=round(tier, 3) if tier == tier else None,
                price_index=round(index, 3) if index == index else None,
            )
            for code, count, tier, index in zip(*(column.tolist() for column in groups), strict=True)
        ]
    )


def _regulars(twin: Twin, as_of_day: int, symbols: Mapping[int, str]) -> tuple[Any, ...]:
    out = []
    for sku, days, first, last in regular_items(twin.cells, as_of_day).tolist():
        interval = (last - first) / (days - 1)
        out.append(
            _Regular(
                sku=symbols[sku],
                purchase_days=days,
                interval_days=round(interval, 2),
                last_bought=day_text(last),
                due=round((as_of_day - last) / interval, 3),
            )
        )
    return tuple(out)


def _funnel(head: list[int]) -> Any:
    search, view, add, remove, checkout, purchase = head[H_FUNNEL : H_FUNNEL + 6]
    sessions = head[H_SESSIONS]
    weight = sum(w * n for w, n in zip(INTENT_WEIGHTS, (add, checkout, purchase), strict=True))
    return _Funnel(
        sessions=sessions, search=search, view=view, add_to_cart=add, remove_from_cart=remove,
        checkout_start=checkout, purchase=purchase, intent=_share(weight, sessions + weight),
    )  # fmt: skip


def _share(part: float, whole: float, digits: int = 4) -> float:
    return round(part / whole, digits) if whole > 0 else 0.0


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)

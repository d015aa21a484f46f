"""Answers settled by the events that follow them: pure rules over a twin's open receipts, in event time.

What counts as an event that settles is decided `grace` seconds of event time after it happened: until then an
earlier receipt may still come in, and this one may be voided or returned. So an answer is settled alike however
fast the events come and in whatever order the answer and the receipts arrive.

Truths. Of a question by next trip, the first receipt after `as_of` that was not voided tells; of a question by
date, all receipts until then do. A candidate is true when it was bought (and not returned within the grace), a
voucher when a product that it covers was bought with a coupon. A receipt does not say which campaign its coupon
is of, so a coupon of another campaign on the same product counts as well. A basket to complete, and a choice
between baskets, presume that one option is right: where none of the candidates was bought, or no basket is
nearest to the one bought, the outcome is void.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from twin_store.dna.layout import (
    C_COUPON_LINES,
    C_SKU,
    C_UNITS,
    H_LAST_SECOND,
    HEAD_COLUMNS,
    R_KIND,
    R_ORIGINAL,
    R_SECOND,
    R_TXN,
    RECEIPT_DAYS,
    SALE,
)
from twin_store.dna.receipts import contributions
from twin_store.dna.twin import Twin
from twin_store.messages.codec import SECONDS_PER_DAY, BadMessage, epoch_seconds
from twin_store.messages.decisions import QuestionKind
from twin_store.symbols import KeyMemo

CHOICES = ("basket_completion", "trip_choice")
"""Kinds that presume that one option is right; they are settled by one trip whatever they name."""
NEVER_SETTLED = ("survey", "review")
"""Kinds that no receipt tells the truth about."""


class Unsettled(msgspec.Struct, array_like=True, frozen=True):
    """An answer whose truth is not known yet. New fields go to the end, with a default.

    Attributes:
        as_of, until: epoch seconds; what happens after `as_of` and up to `until` settles it.
        by_next_trip: whether the first trip settles it, or everything until `until`.
        skus: the options' sku keys, one option after the other: int64, little endian.
        sizes: how many keys each option has; a voucher is one option.
        probabilities: as answered, one an option.
    """

    query_id: str
    customer_id: str
    kind: QuestionKind
    as_of: int
    until: int
    by_next_trip: bool
    skus: bytes
    sizes: list[int]
    probabilities: list[float]
    decider: str
    decider_version: str

    def options(self) -> list[np.ndarray]:
        """The sku keys of each option, int64."""
        keys = np.frombuffer(self.skus, dtype="<i8")
        return np.split(keys, np.cumsum(self.sizes)[:-1])


@dataclass(frozen=True, slots=True)
class Settled:
    """What settled an answer, and when (event time, epoch seconds). Without truths it is void."""

    second: int
    by: Literal["receipt", "horizon"]
    truths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trip:
    """What was bought at one time: the sku keys, sorted; `with_coupon` are some of them.

    Two receipts of the same second are one trip: nothing says which was the first.
    """

    second: int
    bought: np.ndarray
    with_coupon: np.ndarray


def unsettled_of(prediction: Any, keys: KeyMemo) -> Unsettled | None:
    """What is to be settled of an answered `Prediction`; None where nothing ever will.

    Raises:
        BadMessage: if it has not one probability for each of its options.
    """
    if prediction.kind in NEVER_SETTLED:
        return None
    subject = prediction.subject
    options: list[Sequence[str]]
    match prediction.kind:
        case "voucher_redemption":
            options = [subject.voucher_skus]
        case "trip_choice":
            options = list(subject.baskets)
        case _:
            options = [(sku,) for sku in subject.candidates]
    if not options or not all(options) or len(options) != len(prediction.probabilities):
        raise BadMessage(
            f"{len(prediction.probabilities)} probabilities for {len(options)} options", "probabilities"
        )
    sorted_keys = [sorted({keys[sku] for sku in option}) for option in options]
    return Unsettled(
        query_id=prediction.query_id,
        customer_id=prediction.customer_id,
        kind=prediction.kind,
        as_of=epoch_seconds(prediction.as_of),
        until=epoch_seconds(prediction.settlement.until),
        by_next_trip=prediction.settlement.by == "next_trip" or prediction.kind in CHOICES,
        skus=np.array([key for option in sorted_keys for key in option], dtype="<i8").tobytes(),
        sizes=[len(option) for option in sorted_keys],
        probabilities=list(prediction.probabilities),
        decider=prediction.decider,
        decider_version=prediction.decider_version,
    )


def settle(answer: Unsettled, twin: Twin, now: int, grace: int) -> Settled | int:
    """What settles the answer, or the event time from which on it is worth looking again.

    Args:
        twin: the customer's, as new as it is; what she did after `until` and the grace is not looked at.
        now: event time that the stream has reached: whatever happened before is in the twin, but for what comes
            late by more than the grace.
        grace: seconds.
    """
    if has_forgotten(twin, answer.as_of):
        return Settled(answer.until, "horizon", ())
    truths = np.zeros(len(answer.sizes), dtype=bool)
    for second, trip in _trips(twin.receipts, answer.as_of, answer.until, grace):
        if now < second + grace:
            return second + grace
        if trip is None:
            continue
        found = _truths(answer, trip)
        if answer.by_next_trip:
            return Settled(second, "receipt", _told(answer, found))
        truths |= found
        if truths.all():
            return Settled(second, "receipt", tuple(truths.astype(int).tolist()))
    if now < answer.until + grace:
        return answer.until + grace
    return Settled(answer.until, "horizon", () if answer.by_next_trip else tuple(truths.astype(int).tolist()))


def brier(probabilities: Sequence[float], truths: Sequence[int]) -> float | None:
    """Mean squared error over the options; None where nothing is true or false."""
    if not truths:
        return None
    return float(np.mean((np.asarray(probabilities) - np.asarray(truths)) ** 2))


def has_forgotten(twin: Twin, as_of: int) -> bool:
    """Whether receipts from `as_of` on may have left the twin's open receipts, so that it cannot be rewound."""
    newest = int(twin.head[H_LAST_SECOND]) // SECONDS_PER_DAY
    return as_of + 1 < (newest - RECEIPT_DAYS + 1) * SECONDS_PER_DAY


def _trips(receipts: np.ndarray, after: int, until: int, grace: int) -> Iterator[tuple[int, Trip | None]]:
    """The trips in (after, until] in order of time, with what stands of each; None where all was voided."""
    is_sale = receipts[:, R_KIND] == SALE
    seconds = receipts[is_sale, R_SECOND]
    for second in np.unique(seconds[(seconds > after) & (seconds <= until)]).tolist():
        its_own = is_sale & (receipts[:, R_SECOND] == second)
        takes_back = ~is_sale & np.isin(receipts[:, R_ORIGINAL], receipts[its_own, R_TXN])
        totals = np.zeros(HEAD_COLUMNS, dtype=np.int64)
        cells, visits, _ = contributions(receipts[its_own | takes_back], second + grace, 1, totals)
        if not len(visits):
            yield second, None
            continue
        bought = cells[cells[:, C_UNITS] > 0]
        with_coupon = bought[bought[:, C_COUPON_LINES] > 0, C_SKU]
        yield second, Trip(second, np.unique(bought[:, C_SKU]), np.unique(with_coupon))


def _truths(answer: Unsettled, trip: Trip) -> np.ndarray:
    """Which options this trip makes true: bool [n]."""
    options = answer.options()
    match answer.kind:
        case "voucher_redemption":
            return np.array([np.isin(trip.with_coupon, option).any() for option in options])
        case "trip_choice":
            return _nearest(options, trip.bought)
        case _:
            return np.isin(np.concatenate(options), trip.bought)


def _nearest(baskets: list[np.ndarray], bought: np.ndarray) -> np.ndarray:
    """The basket with the greatest Jaccard similarity to what was bought; none if two are equally near."""
    shared = np.array([np.isin(basket, bought).sum() for basket in baskets])
    sizes = np.array([len(basket) for basket in baskets]) + len(bought) - shared
    similarity = shared / sizes
    nearest = (similarity == similarity.max()) & (shared > 0)
    return nearest if nearest.sum() == 1 else np.zeros(len(baskets), dtype=bool)


def _told(answer: Unsettled, truths: np.ndarray) -> tuple[int, ...]:
    if answer.kind in CHOICES and not truths.any():
        return ()
    return tuple(truths.astype(int).tolist())

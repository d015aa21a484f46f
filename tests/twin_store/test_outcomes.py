"""Answers settled by what follows: the first trip, a date, voids and returns, the horizon."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from tests.retail import at, sale, second, twin_of
from twin_store.dna.twin import Twin
from twin_store.messages import Prediction, Transaction
from twin_store.messages.codec import BadMessage
from twin_store.outcomes import Settled, Unsettled, brier, settle, unsettled_of
from twin_store.symbols import KeyMemo

DAY = 86_400
FAR = second(400)


def prediction(
    kind: str = "purchase", until: float = 14, by: str = "next_trip", **subject: Any
) -> Prediction:
    """An answer as of the end of day 0."""
    options = subject.get("baskets") or subject.get("candidates") or subject.get("scale") or [0]
    return Prediction.model_validate(
        {
            "query_id": "q",
            "kind": kind,
            "customer_id": "c1",
            "status": "answered",
            "as_of": at(1),
            "raised_at": at(1),
            "answered_at": at(1),
            "latency_ms": 1.0,
            "raised_by": "request",
            "probabilities": [0.5 for _ in options],
            "decider": "evidence",
            "decider_version": "1",
            "subject": subject,
            "settlement": {"by": by, "until": at(until)},
        }
    )


def answer(kind: str = "purchase", until: float = 14, by: str = "next_trip", **subject: Any) -> Unsettled:
    """The same, as it is to be settled."""
    unsettled = unsettled_of(prediction(kind, until, by, **subject), KeyMemo())
    assert unsettled is not None
    return unsettled


def reversal(day: float, original: str, kind: str, *skus: str) -> Transaction:
    """A void, or a return of one unit of each sku."""
    body = sale(day, skus or ["-"]).model_dump() | {
        "kind": kind,
        "original_transaction_id": original,
        "transaction_id": f"{kind}-{original}-{day}",
    }
    return Transaction.model_validate(body if skus else body | {"lines": []})


def settled(question: Unsettled, *receipts: Transaction, now: int = FAR, grace: int = DAY) -> Settled | int:
    return settle(question, twin_of(receipts), now, grace)


def test_nothing_settles_what_no_receipt_tells() -> None:
    survey = prediction("survey", statement="Prices are fair.", scale=["no", "yes"])
    assert unsettled_of(survey, KeyMemo()) is None
    review = prediction("review", candidates=["a"])
    assert len(review.probabilities) == 1
    assert unsettled_of(review, KeyMemo()) is None
    assert unsettled_of(review.model_copy(update={"probabilities": []}), KeyMemo()) is None


def test_the_first_trip_after_the_answer_tells() -> None:
    question = answer(candidates=["a", "b", "c"])
    receipts = [sale(0, ["c"]), sale(3, ["a", "x"]), sale(5, ["b"])]
    assert settled(question, *receipts) == Settled(second(3.5), "receipt", (1, 0, 0))


def test_what_happened_at_the_moment_of_the_answer_was_known_to_it() -> None:
    assert settled(answer(candidates=["a"]), sale(0.5, ["a"])) == Settled(second(14), "horizon", ())


def test_a_trip_counts_when_the_grace_is_over() -> None:
    question = answer(candidates=["a"])
    assert settled(question, sale(3, ["a"]), now=second(4.5) - 1) == second(4.5)
    assert settled(question, sale(3, ["a"]), now=second(4.5)) == Settled(second(3.5), "receipt", (1,))


def test_an_earlier_receipt_that_came_later_counts_first() -> None:
    question = answer(candidates=["a"])
    assert settled(question, sale(3, ["a"]), sale(2.8, ["b"])) == Settled(second(3.3), "receipt", (0,))


def test_a_voided_receipt_is_no_trip() -> None:
    question = answer(candidates=["a", "b"])
    receipts = [sale(3, ["a"], number="wrong"), reversal(3.2, "wrong", "void"), sale(6, ["b"])]
    assert settled(question, *receipts) == Settled(second(6.5), "receipt", (0, 1))


def test_receipts_of_the_same_second_are_one_trip() -> None:
    question = answer(candidates=["a", "b", "c"])
    receipts = [sale(3, ["a"], number="one"), sale(3, ["b"], number="two"), sale(4, ["c"])]
    assert settled(question, *receipts) == Settled(second(3.5), "receipt", (1, 1, 0))
    voided = reversal(3.1, "one", "void")
    assert settled(question, *receipts, voided) == Settled(second(3.5), "receipt", (0, 1, 0))


def test_what_was_brought_back_was_not_bought() -> None:
    question = answer(candidates=["a", "b"])
    receipts = [sale(3, ["a", "b"], number="one"), reversal(3.1, "one", "return", "a")]
    assert settled(question, *receipts) == Settled(second(3.5), "receipt", (0, 1))


def test_after_the_grace_nothing_changes_a_truth() -> None:
    question = answer(candidates=["a"])
    receipts = [sale(3, ["a"], number="one"), reversal(9, "one", "return", "a"), reversal(9, "one", "void")]
    assert settled(question, *receipts) == Settled(second(3.5), "receipt", (1,))


def test_without_a_trip_the_outcome_is_void() -> None:
    question = answer(candidates=["a"])
    assert settled(question, sale(0, ["a"]), sale(20, ["a"])) == Settled(second(14), "horizon", ())
    assert settled(question, sale(0, ["a"]), now=second(14)) == second(15)


def test_a_voucher_is_redeemed_by_a_covered_product_with_a_coupon() -> None:
    question = answer("voucher_redemption", until=30, by="until", voucher_skus=["v1", "v2"])
    coupon = {"coupon_discount": "0.50", "coupon_ids": ["k"]}
    other = sale(2, ["v1", {"sku": "x", **coupon}])
    redeemed = sale(8, [{"sku": "v2", **coupon}])
    assert settled(question, other, redeemed) == Settled(second(8.5), "receipt", (1,))
    assert settled(question, other) == Settled(second(30), "horizon", (0,))
    assert settled(question, other, sale(31, [{"sku": "v2", **coupon}])) == Settled(
        second(30), "horizon", (0,)
    )


def test_a_question_by_date_sums_up_the_trips_until_then() -> None:
    question = answer(until=20, by="until", candidates=["a", "b", "c"])
    assert settled(question, sale(3, ["a"]), sale(9, ["b"])) == Settled(second(20), "horizon", (1, 1, 0))
    whole = [sale(3, ["a"]), sale(9, ["b"]), sale(12, ["c"])]
    assert settled(question, *whole) == Settled(second(12.5), "receipt", (1, 1, 1))


def test_the_basket_nearest_to_the_trip_was_chosen() -> None:
    question = answer("trip_choice", baskets=[["a", "b", "c"], ["a", "x", "y"]])
    assert settled(question, sale(2, ["a", "x", "z"])) == Settled(second(2.5), "receipt", (0, 1))
    assert settled(question, sale(2, ["a"])) == Settled(second(2.5), "receipt", ()), "equally near"
    assert settled(question, sale(2, ["q"])) == Settled(second(2.5), "receipt", ()), "neither"


def test_a_completion_without_any_of_its_candidates_is_void() -> None:
    question = answer("basket_completion", candidates=["a", "b"], partial_basket=["p"])
    assert settled(question, sale(2, ["p", "b"])) == Settled(second(2.5), "receipt", (0, 1))
    assert settled(question, sale(2, ["p"])) == Settled(second(2.5), "receipt", ())


def test_what_the_twin_no_longer_holds_is_not_guessed() -> None:
    receipts = [sale(3, ["a"]), *(sale(day, ["x"]) for day in range(10, 200, 5))]
    assert settled(answer(candidates=["a"]), *receipts) == Settled(second(14), "horizon", ())


def test_a_twin_unknown_waits_for_the_horizon() -> None:
    question = answer(candidates=["a"])
    assert settle(question, Twin(), second(2), DAY) == second(15)
    assert settle(question, Twin(), second(15), DAY) == Settled(second(14), "horizon", ())


@pytest.mark.parametrize("seed", range(40))
def test_however_often_it_is_looked_at_the_outcome_is_the_same(seed: int) -> None:
    """Receipts within a day of order, looked at after each or only at the end, settle alike."""
    rng = random.Random(seed)
    receipts = []
    for number in range(12):
        day = rng.uniform(1, 25)
        bought = rng.sample("abcdef", rng.randint(1, 4))
        receipts.append((day, sale(day, bought, number=f"n{number}")))
        if rng.random() < 0.3:
            later = day + rng.uniform(0, 2)
            what = ("void",) if rng.random() < 0.5 else ("return", bought[0])
            receipts.append((later, reversal(later, f"n{number}", *what)))
    question = answer(
        rng.choice(["purchase", "basket_completion"]),
        by=rng.choice(["next_trip", "until"]),
        candidates=["a", "b"],
    )
    arrived = sorted(receipts, key=lambda dated: dated[0] + rng.uniform(0, 0.9))
    last: Settled | int = 0
    for count in range(1, len(arrived) + 1):
        reached = max(second(day + 0.5) for day, _ in arrived[:count])
        last = settled(question, *(receipt for _, receipt in arrived[:count]), now=reached)
        if isinstance(last, Settled):
            break
    whole = settled(question, *(receipt for _, receipt in arrived))
    if isinstance(last, Settled):
        assert last == whole


def test_the_record_of_an_answer_reads_back() -> None:
    question = answer("trip_choice", baskets=[["a", "b"], ["c"]])
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(question), type=Unsettled)
    assert again == question
    assert [len(option) for option in again.options()] == [2, 1]


def test_probabilities_must_match_the_options() -> None:
    with pytest.raises(BadMessage, match=r"probabilities: 1 probabilities for 0 options"):
        answer(candidates=[])


def test_the_score_is_the_mean_squared_error() -> None:
    assert brier([0.5, 1.0], (1, 1)) == pytest.approx(0.125)
    assert brier([0.5], ()) is None

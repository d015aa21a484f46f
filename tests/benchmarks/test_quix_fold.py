"""The rival does the same work: its twin, folded a receipt at a time, says what ours says."""

import json
from collections import Counter
from typing import Any

import pytest

from benchmarks.quix.fold import fold, new_twin, product_blocks, profile_of
from benchmarks.quix.products import add, new_product, statistics_of
from streams.sources.complete_journey import CompleteJourney
from streams.topics import TRANSACTIONS
from tests.retail import sale, twin_of
from twin_store.dna.profile import ProductNames, ProfileWriter
from twin_store.messages import Profile, Transaction
from twin_store.messages.codec import decode
from twin_store.symbols import key_of, visit_name


def theirs(receipts: list[Transaction]) -> dict[str, Any]:
    twin = new_twin()
    for receipt in receipts:
        fold(twin, json.loads(receipt.to_wire()))
        twin = json.loads(json.dumps(twin))  # as the state does between two receipts
    return profile_of("c1", twin)


def ours(receipts: list[Transaction]) -> Profile:
    texts = {line.sku for receipt in receipts for line in receipt.lines}
    texts |= {visit_name(receipt.channel, receipt.store_id) for receipt in receipts}
    symbols = {key_of(text): text for text in texts}
    twin = twin_of(receipts)
    return decode(Profile, ProfileWriter("USD").write("c1", twin, ProductNames.none(), symbols)[1])


def same(receipts: list[Transaction]) -> None:
    their, our = theirs(receipts), ours(receipts).dna
    activity = their["activity"]
    assert (activity["receipts"], activity["lines"]) == (our.activity.receipts, our.activity.lines)
    assert (activity["units"], activity["returned_lines"]) == (
        our.activity.units,
        our.activity.returned_lines,
    )
    assert float(activity["spend"]) == pytest.approx(float(our.activity.spend))
    assert their["timing"]["by_hour"] == list(our.timing.by_hour)
    assert their["timing"]["by_weekday"] == list(our.timing.by_weekday)


def test_a_year_of_real_receipts() -> None:
    records = CompleteJourney().records(customers=1, topics=(TRANSACTIONS,))
    receipts = [decode(Transaction, record.value or b"") for record in records]
    same(receipts)
    their = {(row["sku"], row["days"]) for row in theirs(receipts)["regulars"]}
    assert {(item.sku, item.purchase_days) for item in ours(receipts).dna.regulars} <= their


def test_repeats_returns_and_voids_in_any_order() -> None:
    bread = {"sku": "bread", "quantity": 2.0, "net": "3.00"}
    sold = [
        sale(1, [bread, "milk"], number="a"),
        sale(2, ["milk"], number="b"),
        sale(3, ["milk"], number="c"),
    ]
    back = sale(4, [{"sku": "bread", "quantity": 2.0, "net": "3.00"}], number="d")
    back = back.model_copy(update={"kind": "return", "original_transaction_id": "a"})
    void = sale(2, ["milk"], number="e").model_copy(update={"kind": "void", "original_transaction_id": "b"})
    same([*sold, sold[0], back, void])
    same([back, void, *sold, back])


def test_products_add_up_what_receipts_moved() -> None:
    twin, products = new_twin(), {}
    for receipt in (sale(1, ["milk", "bread"]), sale(2, ["milk"])):
        for block in product_blocks(fold(twin, json.loads(receipt.to_wire())) or []):
            for sku, day, store, lines, units, net, _, deals in block["rows"]:
                add(products.setdefault(sku, new_product()), day, store, lines, units, net, deals)
    told = {sku: statistics_of(sku, product) for sku, product in products.items()}
    assert Counter({sku: each["lines"] for sku, each in told.items()}) == Counter({"milk": 2, "bread": 1})
    assert told["milk"]["price_median"] == pytest.approx(1.0, rel=0.02)
    assert told["milk"]["stores"] == ["s1"]

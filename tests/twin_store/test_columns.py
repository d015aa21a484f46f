"""The scanner reads what the judge reads, or nothing: drawn receipts, odd ones, broken ones, every poison."""

import json
import random
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.sources.poison import corrupt, poison_kinds
from streams.topics import TRANSACTIONS
from twin_store.columns import ReceiptColumns, ReceiptDecoder
from twin_store.dna.layout import EVENT_END, EVENT_START, EVENT_TWIN, LINE_MEASURE, M_NET
from twin_store.json_scan import bytes_of
from twin_store.receipt_judge import ReceiptJudge
from twin_store.receipt_parser import joined, parse_receipts
from twin_store.records import Record

PUBLISHED = 1_750_000_000.0
MANY = settings(max_examples=300, deadline=None)
Body = dict[str, Any]

plain = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters='"\\'), max_size=12)
names = plain.filter(bool)
amounts = st.from_regex(r"\A-?[0-9]{1,7}(\.[0-9]{1,4})?\Z")
quantities = st.one_of(
    st.integers(0, 1_000_000),
    st.integers(0, 20_000).map(lambda n: n / 2_000),
    st.floats(0, 1_000_000, allow_nan=False),
    st.decimals(0, 1_000, places=4).map(float),
)
dates = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2025, 6, 15))
instants = st.builds(
    lambda at, fraction, zone: at.strftime("%Y-%m-%dT%H:%M:%S") + fraction + zone,
    dates,
    st.sampled_from(["", ".5", ".000001", ".999999", ".25"]),
    st.sampled_from(["Z", "+00:00", "-00:00", "+05:30", "-11:45", "+23:59"]),
)


def line_fields() -> st.SearchStrategy[Body]:
    lists = st.lists(names, max_size=3)
    return st.fixed_dictionaries(
        {"sku": names, "quantity": quantities},
        optional={
            "unit_price": st.none() | amounts,
            "discount": amounts,
            "coupon_discount": amounts,
            "net": st.none() | amounts,
            "coupon_ids": lists,
            "promotion_ids": lists,
        },
    )


def receipt_fields() -> st.SearchStrategy[Body]:
    return st.fixed_dictionaries(
        {
            "transaction_id": names,
            "customer_id": names,
            "occurred_at": instants,
            "currency": st.just("USD"),
            "lines": st.lists(line_fields(), min_size=1, max_size=4),
        },
        optional={
            "version": st.just("1.0"),
            "kind": st.just("sale"),
            "store_id": st.none() | names,
            "channel": names,
            "original_transaction_id": st.none() | names,
        },
    )


def wire(body: Body, spaces: bool, seed: int) -> bytes:
    """JSON with the fields of each object in an order drawn from `seed`."""
    drawn = random.Random(seed)

    def mixed(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: mixed(value[name]) for name in drawn.sample(sorted(value), len(value))}
        return [mixed(item) for item in value] if isinstance(value, list) else value

    separators = (" ,\n", "\t: ") if spaces else (",", ":")
    return json.dumps(mixed(body), separators=separators).encode()


def agree(records: list[Record], currency: str = "USD") -> ReceiptColumns:
    """Both read the same; returns what they read."""
    ours, judged = ReceiptDecoder(currency).decode(records), ReceiptJudge(currency).columns(records)
    apart = [EVENT_TWIN, EVENT_START, EVENT_END]
    np.testing.assert_array_equal(np.delete(ours.events, apart, 1), np.delete(judged.events, apart, 1))
    for one, other in zip(ours.events, judged.events, strict=True):
        np.testing.assert_array_equal(
            ours.lines[one[EVENT_START] : one[EVENT_END]], judged.lines[other[EVENT_START] : other[EVENT_END]]
        )
    assert owners(ours.customers, ours.events) == owners(judged.customers, judged.events)
    assert sorted(ours.customers) == sorted(judged.customers)
    assert ours.sources.tolist() == judged.sources.tolist()
    assert ours.symbols == judged.symbols
    assert [(i, str(error)) for i, error in ours.bad] == [(i, str(error)) for i, error in judged.bad]
    return ours


def owners(customers: list[str], events: np.ndarray) -> list[str]:
    return [customers[twin] for twin in events[:, EVENT_TWIN].tolist()]


def left_to_the_judge(value: bytes, key: bytes = b"ada", currency: str = "USD") -> bool:
    text, ends = joined([value])
    keys, key_ends = joined([key])
    latest = np.array([int(PUBLISHED)])
    quoted = bytes_of(f'"{currency}"'.encode())
    return bool(len(parse_receipts(text, ends, keys, key_ends, latest, quoted, 2).left))


@MANY
@given(st.lists(st.tuples(receipt_fields(), st.booleans(), st.integers(0, 99)), max_size=5))
def test_drawn_receipts_are_read_as_the_judge_reads_them(drawn: list[tuple[Body, bool, int]]) -> None:
    records = [Record(body["customer_id"].encode(), wire(body, *how), PUBLISHED) for body, *how in drawn]
    assert not agree(records).bad


WHOLE: Body = {
    "version": "1.0",
    "transaction_id": "t1",
    "customer_id": "ada",
    "kind": "sale",
    "occurred_at": "2024-02-29T23:59:59Z",
    "store_id": "s1",
    "channel": "store",
    "currency": "USD",
    "lines": [
        {"sku": "milk", "quantity": 1, "unit_price": "1.09", "discount": "0.10", "net": "0.99"},
        {
            "sku": "tea",
            "quantity": 0.25,
            "coupon_discount": "1",
            "net": "-3.005",
            "coupon_ids": ["c1", "c2"],
            "promotion_ids": ["p"],
        },
    ],
}
ODD: dict[str, list[Any]] = {
    "version": ["1.1", "1.", "1", "2.0", "", None, 1, "x" * 17],
    "transaction_id": ["", "x" * 128, "x" * 129, None, 7, "naïve", 'quo"te', "back\\slash", "\x7f", "\x00"],
    "customer_id": ["", "bob", None],
    "kind": ["return", "void", "SALE", "", None],
    "occurred_at": [
        "2024-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "2024-13-01T00:00:00Z", "2024-00-10T00:00:00Z",
        "2024-01-01T24:00:00Z", "2024-01-01T23:60:00Z", "2024-01-01T23:59:60Z", "2024-01-01 10:00:00Z",
        "2024-01-01t10:00:00z", "2024-01-01T10:00:00", "2024-01-01T10:00Z", "2024-01-01T10:00:00+24:00",
        "2024-01-01T10:00:00.1234567Z", "2024-01-01T10:00:00.Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.5Z",
        "1970-01-01T05:30:00+05:30", "1969-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "2099-12-31T23:59:59Z",
        "2025-06-16T15:06:40Z", "2025-06-16T15:06:40.5Z", "2025-06-16T15:06:41Z", "2025-06-16T15:06:39Z",
        "9999-12-31T23:59:59Z", 1700000000, None, "", "2024-1-01T10:00:00Z", "2024-01-01T10:00:00+0530",
    ],
    "store_id": ["", "x" * 129, 5, "Köln"],
    "channel": ["", "x" * 32, "x" * 33, None, "web"],
    "currency": ["EUR", "usd", "US", "USDX", None],
    "lines": [[], None, "none", {}, [None], [[]], [{"sku": "a"}], [{"quantity": 1}], [{}]],
    "original_transaction_id": ["", "t0", 5, "x" * 129],
    "unknown": [1, {"deep": [1, 2]}, "text"],
}  # fmt: skip
ODD_LINE: dict[str, list[Any]] = {
    "sku": ["", "x" * 128, "x" * 129, None, 5, "ß"],
    "quantity": [
        -1, -0.0, 0, 1e6, 1_000_000.001, 1_000_001, 1e-9, 0.0005, 0.0015, 2.5e-3, 1e2, "1", None, True,
        0.1234567890123, 123456.1234567891, 12345678901234567890, 1e12,
    ],
    "unit_price": ["", "-1", "+1", "1.", ".5", "1.23456", "12345678", "1e2", "01", "１", 1, "9999999.9999"],
    "net": ["", "-0", "0.005", "0.015", "-0.005", "-0.025", "0.0150", "1,00", " 1", "--1", None, 0.5],
    "discount": [None, "-1.00", "0", "0.004"],
    "coupon_discount": [None, "0.00", "0.0051"],
    "coupon_ids": [[""], ["x"] * 50, ["x"] * 51, [1], "c1", None],
    "promotion_ids": [[], ["ü"], [None], {}],
    "unknown": [None, [], "0"],
}  # fmt: skip


def odd_receipts() -> list[Body]:
    first, *rest = WHOLE["lines"]
    bodies = [WHOLE | {name: value} for name, values in ODD.items() for value in values]
    bodies += [
        WHOLE | {"lines": [first | {name: value}, *rest]}
        for name, values in ODD_LINE.items()
        for value in values
    ]
    bodies += [{name: value for name, value in WHOLE.items() if name != left_out} for left_out in WHOLE]
    for kind in ("return", "void"):
        bodies += [WHOLE | {"kind": kind, "original_transaction_id": "t0", "lines": n} for n in ([], [first])]
    return bodies


def test_odd_values_are_read_as_the_judge_reads_them() -> None:
    records = [
        Record(b"ada", json.dumps(body, ensure_ascii=ascii_only).encode(), PUBLISHED)
        for body in odd_receipts()
        for ascii_only in (True, False)
    ]
    columns = agree(records)
    assert 80 < len(columns.bad) < len(records)


@pytest.mark.parametrize("currency", ["JPY", "BHD"])
def test_other_minor_units_round_alike(currency: str) -> None:
    texts = ("1", "0.5", "1.5", "2.5", "0.0005", "0.0015", "-2.5", "-1.4999", "9999999.9999", "0.005")
    lines = [{"sku": "a", "quantity": 1, "net": text, "discount": text} for text in texts]
    body = WHOLE | {"currency": currency, "lines": lines}
    columns = agree([Record(b"ada", json.dumps(body).encode(), PUBLISHED)], currency)
    assert (
        columns.lines[:, LINE_MEASURE + M_NET].tolist()[1:4]
        == {"JPY": [0, 2, 2], "BHD": [500, 1500, 2500]}[currency]
    )


@pytest.mark.parametrize("kind", poison_kinds(TRANSACTIONS))
def test_poison_is_left_to_the_judge(kind: str) -> None:
    value = corrupt(kind, TRANSACTIONS, json.dumps(WHOLE).encode(), 1)
    assert left_to_the_judge(value)
    assert [index for index, _ in agree([Record(b"ada", value, PUBLISHED)]).bad] == [0]


@MANY
@given(st.randoms(use_true_random=False))
def test_mutilated_bytes_are_read_as_the_judge_reads_them(drawn: random.Random) -> None:
    agree([Record(b"ada", mutilated(drawn), PUBLISHED) for _ in range(20)])


def mutilated(drawn: random.Random) -> bytes:
    value = bytearray(json.dumps(WHOLE, separators=(",", ":")).encode())
    for _ in range(drawn.randint(1, 3)):
        at = drawn.randrange(len(value))
        byte = drawn.choice(b'"{}[],:.-+eE019 tnT\\\0\n\x7f\xc3\xbc')
        match drawn.randrange(4):
            case 0:
                value[at] = byte
            case 1:
                value.insert(at, byte)
            case 2:
                del value[at : at + drawn.randint(1, 4)]
            case 3:
                value[at:at] = value[at : at + drawn.randint(1, 40)]
    return bytes(value)


def test_what_most_producers_write_is_not_left_to_the_judge() -> None:
    for spaces in (False, True):
        for seed in range(20):
            assert not left_to_the_judge(wire(WHOLE, spaces, seed))
    returned = WHOLE | {"kind": "return", "original_transaction_id": "t0"}
    assert not left_to_the_judge(wire(returned, False, 0))
    assert not left_to_the_judge(wire(WHOLE | {"store_id": None}, False, 0))


def test_records_without_key_or_value_and_of_others_are_bad() -> None:
    value = json.dumps(WHOLE).encode()
    records = [
        Record(None, value, PUBLISHED),
        Record(b"ada", None, PUBLISHED),
        Record(b"adam", value, PUBLISHED),
    ]
    assert [index for index, _ in agree(records).bad] == [0, 1, 2]


def test_scanned_and_judged_messages_stand_in_their_order() -> None:
    records = []
    for number in range(40):
        customer = f"c{number % 3}"
        body = WHOLE | {"transaction_id": f"t{number}", "customer_id": customer, "store_id": f"s{number}"}
        body |= {"extra": 1} if number % 4 == 1 else {}
        body |= {"currency": "EUR"} if number % 10 == 7 else {}
        records.append(Record(customer.encode(), json.dumps(body).encode(), PUBLISHED))
    ours = agree(records)
    assert [index for index, _ in ours.bad] == [7, 17, 27, 37]
    assert sorted(ours.symbols_beyond({ours.symbols["milk"]})) == sorted(set(ours.symbols) - {"milk"})


def test_an_empty_batch_has_columns_too() -> None:
    columns = ReceiptDecoder("USD").decode([])
    assert columns.events.shape == (0, 8)
    assert columns.lines.shape == (0, 9)
    assert (columns.customers, columns.bad, columns.symbols) == ([], [], {})

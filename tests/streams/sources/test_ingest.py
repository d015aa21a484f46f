"""Files of any retailer as messages: what each column becomes, and what returns take back."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from streams.errors import UsageError
from streams.settings import Settings
from streams.sources.complete_journey import CompleteJourney
from streams.sources.complete_journey.tables import find_tables
from streams.sources.ingest import buckets, csv_file, pipeline
from streams.sources.ingest.mapping import load_mapping
from streams.sources.ingest.pipeline import prepare
from streams.sources.ingest.rejects import IngestError
from streams.topics import TRANSACTIONS
from twin_store.messages import Transaction
from twin_store.messages.base import format_instant
from twin_store.messages.codec import decode

Message = dict[str, Any]
PLAIN = """
[receipt]
customer_id = "who"
occurred_at = "at"
transaction_id = "receipt"
[line]
sku = "sku"
quantity = "n"
"""


class Ingested:
    """The messages of a file, decoded, and what was wrong with it."""

    def __init__(self, messages: list[Message], errors: list[str]) -> None:
        self.messages = messages
        self.errors = errors

    @property
    def receipts(self) -> list[Message]:
        return [message for message in self.messages if "transaction_id" in message]

    def of(self, transaction_id: str) -> Message:
        (found,) = [message for message in self.receipts if message["transaction_id"] == transaction_id]
        return found


Run = Callable[..., Ingested]


@pytest.fixture
def ingest(offline_settings: Settings, tmp_path: Path) -> Run:
    """Writes a file and its mapping, and ingests it as far as publishing."""

    def run(content: str | bytes | Path, mapping: str = PLAIN, name: str = "sales.csv") -> Ingested:
        file = content if isinstance(content, Path) else tmp_path / name
        if isinstance(content, str | bytes):
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        toml = tmp_path / "mapping.toml"
        toml.write_text(mapping, encoding="utf-8")
        rejects = tmp_path / "rejects.ndjson"
        with prepare(offline_settings, file, load_mapping(toml), rejects, keep=1_000) as prepared:
            records = list(prepared.records())
            assert [r.at_seconds for r in records] == sorted(r.at_seconds for r in records)
            for record in records:
                assert record.topic.message is not None
                decode(record.topic.message, record.value)
            assert len(list(prepared.rejects.read())) == prepared.rejects.count
            messages = [json.loads(record.value or b"") for record in records]
            return Ingested(messages, [str(reject) for reject in prepared.rejects.first])

    return run


def csv(*rows: str, header: str = "who,at,receipt,sku,n") -> str:
    return "\n".join([header, *rows]) + "\n"


def test_rows_with_one_id_are_one_receipt(ingest: Run) -> None:
    found = ingest(csv("a,2024-05-01,r1,x,1", "b,2024-05-01,r2,x,1", "a,2024-05-01,r1,y,2.5"))
    assert found.errors == []
    assert [line["sku"] for line in found.of("r1")["lines"]] == ["x", "y"]
    assert found.of("r1") == {
        "version": "1.0",
        "transaction_id": "r1",
        "customer_id": "a",
        "kind": "sale",
        "occurred_at": "2024-05-01T00:00:00Z",
        "currency": "USD",
        "lines": [{"sku": "x", "quantity": 1.0}, {"sku": "y", "quantity": 2.5}],
    }


@pytest.mark.parametrize(
    ("per", "ids"),
    [
        ("instant", ["a-20240501T220000Z-s1", "a-20240501T230000Z-s1", "a-20240501T230000Z-s2"]),
        ("day", ["a-20240502-s1", "a-20240502-s2"]),
    ],
)
def test_without_an_id_customer_time_and_store_make_one(ingest: Run, per: str, ids: list[str]) -> None:
    mapping = f"""
    time_zone = "Europe/Berlin"
    [receipt]
    customer_id = "who"
    occurred_at = "at"
    store_id = "store"
    one_receipt_per = "{per}"
    [line]
    sku = "sku"
    """
    rows = ["a,2024-05-02 00:00,s1,x", "a,2024-05-02 01:00,s1,y", "a,2024-05-02 01:00,s2,z"]
    found = ingest(csv(*rows, header="who,at,store,sku"), mapping)
    assert sorted(message["transaction_id"] for message in found.receipts) == ids


PRICED = PLAIN + 'unit_price = "price"\ndiscount = "off"\nnet = "net"\n'
PRICED_HEADER = "who,at,receipt,sku,n,price,off,net"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ("2,1.50,,", {"quantity": 2.0, "unit_price": "1.50", "net": "3.00"}),
        ("3,0.3333,0.10,", {"quantity": 3.0, "unit_price": "0.3333", "discount": "0.10", "net": "0.90"}),
        ("1,,-0.25,4.00", {"quantity": 1.0, "discount": "0.25", "net": "4.00"}),
        ("1,,,-0.25", {"quantity": 1.0, "net": "-0.25"}),
        ("1,,,0", {"quantity": 1.0, "net": "0.00"}),
        ("1,1e2,0,1234567.8901", {"quantity": 1.0, "unit_price": "100.00", "net": "1234567.8901"}),
    ],
)
def test_prices_are_exact_and_a_missing_net_is_made(ingest: Run, values: str, line: Message) -> None:
    found = ingest(csv(f"a,2024-05-01,r,x,{values}", header=PRICED_HEADER), PRICED)
    assert found.of("r")["lines"] == [{"sku": "x"} | line]


def test_numbers_and_times_as_they_are_written_elsewhere(ingest: Run) -> None:
    mapping = 'decimal = ","\nthousands = "."\ntime_format = "%d.%m.%y"\ncsv.separator = "\\t"\n' + PRICED
    rows = csv("a,31.12.24,r,x,1,1.234,,", "a,31.12.24,r,y,1,2:5,,", header=PRICED_HEADER)
    found = ingest(rows.replace(",", "\t").replace(":", ","), mapping, "sales.tsv")
    assert found.of("r")["occurred_at"] == "2024-12-31T00:00:00Z"
    assert [line["unit_price"] for line in found.of("r")["lines"]] == ["1234.00", "2.50"]


@pytest.mark.parametrize(
    ("text", "settings", "instant"),
    [
        ("2024-05-01T09:30", "", "2024-05-01T09:30:00Z"),
        ("2024-05-01 09:30:15.25", "", "2024-05-01T09:30:15.250000Z"),
        ("2024-05-01T09:30:00Z", 'time_zone = "Asia/Tokyo"', "2024-05-01T09:30:00Z"),
        ("2024-05-01T09:30:00+02:00", "", "2024-05-01T07:30:00Z"),
        ("2024-05-01T09:30+0200", "", "2024-05-01T07:30:00Z"),
        ("2024-05-01", 'time_zone = "Asia/Tokyo"', "2024-04-30T15:00:00Z"),
        ("2024-10-27 02:30", 'time_zone = "Europe/Berlin"', "2024-10-27T00:30:00Z"),
        ("1714555800", 'time_format = "epoch_s"', "2024-05-01T09:30:00Z"),
        ("1714555800250", 'time_format = "epoch_ms"', "2024-05-01T09:30:00.250000Z"),
        ("01/05/2024 0930 +0200", 'time_format = "%d/%m/%Y %H%M %z"', "2024-05-01T07:30:00Z"),
    ],
)
def test_times_become_utc(ingest: Run, text: str, settings: str, instant: str) -> None:
    found = ingest(csv(f"a,{text},r,x,1"), f"{settings}\n{PLAIN}")
    assert found.errors == []
    assert found.of("r")["occurred_at"] == instant


@pytest.mark.parametrize(
    "text",
    ["2024-03-31 02:30", "1900-01-01", "2100-01-02", "tomorrow", "2024-13-01", "2024-05-01T09:30:00 CET"],
)
def test_times_that_cannot_be_are_named(ingest: Run, text: str) -> None:
    found = ingest(csv(f"a,{text},r,x,1"), 'time_zone = "Europe/Berlin"\n' + PLAIN)
    assert found.receipts == []
    assert found.errors[0].startswith(f"row 2, column at: '{text}' does not fit time_format")


def test_a_return_takes_from_the_newest_sales_that_hold_the_sku(ingest: Run) -> None:
    found = ingest(
        csv(
            "a,2024-05-01,r1,x,2",
            "a,2024-05-03,r3,x,1",
            "b,2024-05-04,r4,x,9",
            "a,2024-05-05,back,x,-2",
            "a,2024-05-06,again,x,-1",
            "a,2024-05-07,r5,x,1",
            "a,2024-05-06,too,x,-1",
        )
    )
    returns = [
        (m["transaction_id"], m["original_transaction_id"], m["lines"])
        for m in found.receipts
        if m["kind"] == "return"
    ]
    one = [{"sku": "x", "quantity": 1.0}]
    assert sorted(returns) == [
        ("again", "r1", one),
        ("back-return-1", "r3", one),
        ("back-return-2", "r1", one),
    ]
    assert found.errors == ["row 8: returns 1 of x, more than earlier sales in this file; name its sale"]


def test_a_return_that_names_its_sale_needs_no_sale_in_the_file(ingest: Run) -> None:
    mapping = PLAIN.replace("[line]", 'original_transaction_id = "of"\n[line]') + 'net = "net"\n'
    rows = ["a,2024-05-05,back,x,-2,old,-3.00", "a,2024-05-05,same,y,-1,same,-1.00"]
    found = ingest(csv(*rows, header="who,at,receipt,sku,n,of,net"), mapping)
    assert found.of("back")["original_transaction_id"] == "old"
    assert found.of("back")["lines"] == [{"sku": "x", "quantity": 2.0, "net": "3.00"}]
    # Under its sale's own id it would be taken for the sale, come twice.
    assert found.of("same-return-1")["original_transaction_id"] == "same"


def test_a_receipt_with_sales_and_returns_is_two_messages(ingest: Run) -> None:
    found = ingest(
        csv("a,2024-05-01,r1,x,3", "a,2024-05-02,r2,y,1", "a,2024-05-02,r2,x,-1", "a,2024-05-02,r2,y,-1")
    )
    assert [line["sku"] for line in found.of("r2")["lines"]] == ["y"]
    taken = {m["original_transaction_id"]: m["lines"] for m in found.receipts if m["kind"] == "return"}
    assert taken == {"r1": [{"sku": "x", "quantity": 1.0}], "r2": [{"sku": "y", "quantity": 1.0}]}
    assert {m["transaction_id"] for m in found.receipts} == {"r1", "r2", "r2-return-1", "r2-return-2"}


def test_a_split_refund_is_shared_out(ingest: Run) -> None:
    rows = ["a,2024-05-01,r1,x,1,,,5", "a,2024-05-02,r2,x,2,,,8", "a,2024-05-03,back,x,-3,,,-13"]
    found = ingest(csv(*rows, header=PRICED_HEADER), PRICED)
    nets = [line["net"] for m in found.receipts if m["kind"] == "return" for line in m["lines"]]
    assert sorted(nets) == ["4.3333", "8.6667"]


KINDS = PLAIN.replace(
    "[line]",
    'kind = "kind"\noriginal_transaction_id = "of"\nkinds = { return = ["R"], void = ["V"] }\n[line]',
)
KINDS_HEADER = "who,at,receipt,sku,n,kind,of"


def test_a_column_may_say_what_is_a_return_or_a_void(ingest: Run) -> None:
    rows = [
        *("a,2024-05-01,r1,x,1,S,", "a,2024-05-01,r1,y,1,,", "a,2024-05-02,r2,x,1,R,r1"),
        *("a,2024-05-03,r1,,,V,", "a,2024-05-03,v9,,,V,r7", "a,2024-05-04,r3,x,1,R,"),
    ]
    found = ingest(csv(*rows, header=KINDS_HEADER), KINDS)
    assert found.errors == ["row 7: returns 1 of x, more than earlier sales in this file; name its sale"]
    assert len(found.of("r1")["lines"]) == 2
    assert found.of("r2")["kind"] == "return"
    voids = {m["transaction_id"]: m["original_transaction_id"] for m in found.receipts if m["kind"] == "void"}
    assert voids == {"r1-void-1": "r1", "v9": "r7"}
    assert found.of("v9")["lines"] == []


def test_kinds_that_are_not_listed_are_wrong_when_sales_are(ingest: Run) -> None:
    mapping = KINDS.replace("return =", 'sale = ["S"], return =')
    found = ingest(csv("a,2024-05-01,r1,x,1,S,", "a,2024-05-01,r2,x,1,Q,", header=KINDS_HEADER), mapping)
    assert found.errors == ["row 3, column kind: 'Q' is not listed in receipt.kinds"]


def test_one_bad_row_takes_its_receipt_with_it(ingest: Run) -> None:
    found = ingest(
        csv("a,2024-05-01,r1,x,1", "a,2024-05-01,r1,,1", "a,2024-05-01,r2,x,1", ",2024-05-01,r3,x,1")
    )
    assert [message["transaction_id"] for message in found.receipts] == ["r2"]
    assert sorted(found.errors) == [
        "row 2: is of receipt r1, which has an error in row 3",
        "row 3, column sku: is empty",
        "row 5, column who: is empty",
    ]


def test_rows_without_a_customer_may_be_skipped(ingest: Run) -> None:
    mapping = PLAIN.replace("[line]", 'without_customer = "skip"\n[line]')
    found = ingest(csv("a,2024-05-01,r1,x,1", ",2024-05-01,r2,x,oops"), mapping)
    assert (len(found.receipts), found.errors) == (1, [])


def test_every_error_of_a_row_is_told_with_row_and_column(ingest: Run) -> None:
    long = "c" * 129
    rows = [
        f'{long},soon,r1,x,"1,5"',
        "a,2024-05-01,r2,x,1000001",
        "a,2024-05-01,r3",
        'a,2024-05-01,r4,"x\n",1',
        "a,2024-05-01,r5,x,-0",
    ]
    found = ingest(csv(*rows, "a,2024-05-01,r6,x,NaN"))
    assert found.errors == [
        f"row 2, column who: '{long[:57]}...' is longer than 128 characters",
        "row 2, column at: 'soon' does not fit time_format, or is not a time of time_zone between 1970 and 2100",
        "row 2, column n: '1,5' is not a number of at most 1,000,000",
        "row 3, column n: '1000001' is not a number of at most 1,000,000",
        "row 4: has 3 columns, the header has 5",
        "row 8, column n: 'NaN' is not a number of at most 1,000,000",
    ]
    assert [message["transaction_id"] for message in found.receipts] == ["r4", "r5"]


def test_money_that_no_message_can_hold_is_wrong(ingest: Run) -> None:
    rows = [
        "a,2024-05-01,r1,x,1,10000000,,",
        "a,2024-05-01,r2,x,1,1.2.3,,",
        "a,2024-05-01,r3,x,1000000,9999998,,",
    ]
    found = ingest(csv(*rows, header=PRICED_HEADER), PRICED)
    assert [error.partition(":")[0] for error in found.errors] == [
        "row 2, column price",
        "row 3, column price",
        "row 4, column lines[0].net",
    ]


def test_a_currency_column_must_be_the_deployments(ingest: Run) -> None:
    mapping = PLAIN.replace("[line]", 'currency = "money"\n[line]')
    header = "who,at,receipt,sku,n,money"
    found = ingest(csv("a,2024-05-01,r1,x,1,USD", "a,2024-05-01,r2,x,1,EUR", header=header), mapping)
    assert found.errors == ["row 3, column money: 'EUR' is not USD, this deployment's currency"]
    constant = PLAIN.replace("[line]", 'currency = { value = "EUR" }\n[line]')
    with pytest.raises(UsageError, match="TWINS_CURRENCY"):
        ingest(csv("a,2024-05-01,r1,x,1"), constant)


def test_bytes_of_another_encoding_spoil_only_their_row(ingest: Run) -> None:
    content = csv("a,2024-05-01,r1,Käse,1", "a,2024-05-01,r2,x,1").encode("latin-1")
    found = ingest(content)
    assert found.errors[0].endswith("holds characters of another encoding; set csv.encoding in the mapping")
    assert len(found.receipts) == 1
    assert ingest(content, 'csv.encoding = "latin-1"\n' + PLAIN).of("r1")["lines"][0]["sku"] == "Käse"


def test_a_quote_left_open_is_said(ingest: Run) -> None:
    with pytest.raises(IngestError, match=r"row .*is a quote open"):
        ingest(csv('a,2024-05-01,r1,"x,1', *("a,2024-05-01,r2,x,1" for _ in range(10_000))))


def test_compressed_files_are_read_and_broken_ones_said(ingest: Run) -> None:
    packed = gzip.compress(csv("a,2024-05-01,r1,x,1", "a,2024-05-01,r2,x,1").encode())
    assert len(ingest(packed, name="sales.csv.gz").receipts) == 2
    with pytest.raises(IngestError, match="cannot be read on"):
        ingest(packed[:-12], name="sales.csv.gz")
    with pytest.raises(IngestError, match="not a Parquet file"):
        ingest(b"PAR1", name="sales.parquet")


NESTED = """
[receipt]
customer_id = "buyer.id"
occurred_at = "at"
transaction_id = "id"
lines = "items"
[line]
sku = "sku"
quantity = "n"
net = "net"
coupon_ids = "coupons"
[customer]
demographics = { age = "buyer.age" }
"""


def test_receipts_with_nested_lines(ingest: Run) -> None:
    good = {"id": 1, "at": "2024-05-01T09:00:00Z", "buyer": {"id": 7, "age": "35-44"}}
    items = [{"sku": "x", "n": 2, "net": 3.1, "coupons": ["c1", "c2"]}, {"sku": "y", "n": 0.5, "net": "1.20"}]
    bad = [
        good | {"id": 2, "items": [{"sku": "x", "n": 1}, {"n": True}]},
        good | {"id": 3, "items": "none"},
        good | {"id": 4, "items": [3]},
        [1],
    ]
    text = "\n".join(json.dumps(row) for row in [good | {"items": items}, *bad]) + '\n{"id": 5\n\n'
    found = ingest(text, NESTED, "orders.ndjson")
    assert [message["transaction_id"] for message in found.receipts] == ["1"]
    assert found.of("1")["lines"] == [
        {"sku": "x", "quantity": 2.0, "net": "3.10", "coupon_ids": ["c1", "c2"]},
        {"sku": "y", "quantity": 0.5, "net": "1.20"},
    ]
    people = [message for message in found.messages if "demographics" in message]
    assert [(p["customer_id"], p["demographics"]) for p in people] == [("7", {"age": "35-44"})]
    assert sorted(error.partition(" is ")[0] for error in found.errors) == [
        "row 2, column n: 'true'",
        "row 2, column sku:",
        "row 3, column items: '\"none\"'",
        "row 4, column items: '[3]'",
        "row 5:",
        "row 6:",
    ]


def test_typed_parquet_flat_and_nested(ingest: Run, tmp_path: Path) -> None:
    at = datetime(2024, 5, 1, 9, 30, tzinfo=UTC)
    flat = pl.DataFrame(
        {
            "who": [1],
            "at": [at],
            "receipt": [10],
            "sku": [5],
            "n": [2.0],
            "price": [Decimal("1.50")],
            "off": [0.1],
            "net": [2.9],
        }
    )
    flat.write_parquet(tmp_path / "flat.parquet")
    assert ingest(tmp_path / "flat.parquet", PRICED).of("10") == {
        "version": "1.0",
        "transaction_id": "10",
        "customer_id": "1",
        "kind": "sale",
        "occurred_at": "2024-05-01T09:30:00Z",
        "currency": "USD",
        "lines": [{"sku": "5", "quantity": 2.0, "unit_price": "1.50", "discount": "0.10", "net": "2.90"}],
    }
    nested = pl.DataFrame(
        {
            "id": [1],
            "at": [at],
            "buyer": [{"id": 7, "age": "65+"}],
            "items": [[{"sku": "x", "n": 1, "net": 2.5, "coupons": ["c"]}]],
        }
    )
    nested.write_parquet(tmp_path / "nested.parquet")
    assert ingest(tmp_path / "nested.parquet", NESTED).of("1")["lines"] == [
        {"sku": "x", "quantity": 1.0, "net": "2.50", "coupon_ids": ["c"]}
    ]
    with pytest.raises(UsageError, match="leave time_format out"):
        ingest(tmp_path / "flat.parquet", 'time_format = "%d.%m.%Y"\n' + PRICED)


def test_products_of_a_sales_file_are_published_once_with_their_newest_values(ingest: Run) -> None:
    mapping = (
        PLAIN + '[catalog]\nname = "name"\nbrand = "brand"\nlist_price = "price"\nprivate_label = "own"\n'
    )
    rows = [
        *("a,2024-05-02,r2,x,1,New name,,1.20,yes", "a,2024-05-01,r1,x,1,Old name,Acme,1.10,no"),
        *("a,2024-05-03,r3,x,bad,Newest name,,9,no", "a,2024-05-03,r4,y,1,,,,"),
    ]
    found = ingest(csv(*rows, header="who,at,receipt,sku,n,name,brand,price,own"), mapping)
    items = {message["sku"]: message for message in found.messages if "name" in message}
    fields = ("name", "brand", "list_price", "private_label", "updated_at")
    assert [items["x"][field] for field in fields] == [
        "New name",
        "Acme",
        "1.20",
        True,
        "2024-05-01T00:00:00Z",
    ]
    assert items["y"]["name"] == "y"  # a product must have a name
    assert len(items) == 2


def test_a_file_of_products_alone(ingest: Run) -> None:
    mapping = '[catalog]\nsku = "id"\nname = "name"\nupdated_at = "since"\n'
    found = ingest(csv("1,Tea,2024-05-01", "2,Salt,", header="id,name,since"), mapping)
    assert [(message["sku"], message["updated_at"]) for message in found.messages] == [
        ("1", "2024-05-01T00:00:00Z")
    ]
    assert found.errors == ["row 3, column since: is empty"]


def test_an_empty_file_is_no_error(ingest: Run) -> None:
    assert ingest(csv()).messages == []
    assert ingest("", NESTED, "orders.ndjson").messages == []


def test_a_file_larger_than_its_batches_and_buckets(
    ingest: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real receipts, in no order, through many buckets and batches, are what the replay publishes."""
    monkeypatch.setattr(csv_file, "BATCH_ROWS", 500)
    monkeypatch.setattr(buckets, "BUCKET_BYTES", 100_000)
    monkeypatch.setattr(buckets, "FLUSH_ROWS", 2_000)
    monkeypatch.setattr(pipeline, "READ_ROWS", 50)
    journey = CompleteJourney()
    households = journey.customers(25)
    lines = (
        find_tables().scan("transactions").filter(pl.col("household_id").cast(pl.String).is_in(households))
    )
    money = pl.col("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc").round(2)
    lines.with_columns(money).collect().sample(fraction=1.0, shuffle=True, seed=1).write_csv(
        tmp_path / "lines.csv"
    )
    mapping = """
    [receipt]
    customer_id = "household_id"
    transaction_id = "basket_id"
    occurred_at = "transaction_timestamp"
    store_id = "store_id"
    [line]
    sku = "product_id"
    quantity = "quantity"
    net = "sales_value"
    coupon_discount = "coupon_disc"
    """
    found = ingest(tmp_path / "lines.csv", mapping)
    records = journey.records(customers=households, topics=[TRANSACTIONS])
    expected = {m.transaction_id: m for m in (decode(Transaction, record.value) for record in records)}
    assert found.errors == []
    assert {m["transaction_id"] for m in found.receipts} == set(expected)
    for message in found.receipts:
        receipt = expected[message["transaction_id"]]
        assert message["occurred_at"] == format_instant(receipt.occurred_at)
        assert message["customer_id"] == receipt.customer_id
        lines_found = sorted((line["sku"], line["quantity"], line["net"]) for line in message["lines"])
        assert lines_found == sorted((line.sku, line.quantity, line.net) for line in receipt.lines)

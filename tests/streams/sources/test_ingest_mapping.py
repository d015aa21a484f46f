"""A mapping that does not fit is refused, naming the key and the nearest one there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.errors import UsageError
from streams.sources.ingest.files import read_batches
from streams.sources.ingest.mapping import Constant, load_mapping

GOOD = """
[receipt]
customer_id = "who"
occurred_at = ["day", "time"]
[line]
sku = "sku"
net = { value = "1.00" }
"""


def load(tmp_path: Path, text: str) -> object:
    path = tmp_path / "m.toml"
    path.write_text(text, encoding="utf-8")
    return load_mapping(path)


def test_sources_name_the_fields_that_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(GOOD + '[customer.demographics]\n"shoe size" = "shoes"\n', encoding="utf-8")
    assert load_mapping(path).sources() == {
        "receipt.customer_id": "who",
        "receipt.occurred_at": ["day", "time"],
        "line.sku": "sku",
        "line.net": Constant(value="1.00"),
        "customer.demographics.shoe size": "shoes",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[receipt", "not valid TOML"),
        ("", "nothing is mapped"),
        (
            GOOD.replace("customer_id", "customer"),
            "receipt.customer: unknown key; did you mean 'customer_id'",
        ),
        (GOOD.replace('customer_id = "who"', ""), "receipt.customer_id: Field required"),
        (GOOD.replace('sku = "sku"', "sku = 5"), 'line.sku: give a column "name", columns'),
        (GOOD.replace('sku = "sku"', 'sku = { valu = "5" }'), 'line.sku: give a column "name", columns'),
        (GOOD + "kinds = 1", "line.kinds: unknown key"),
        (GOOD + "[receipt.kinds]\nrefund = []", "receipt.kinds.refund: unknown key; did you mean 'return'"),
        (GOOD + "[customer.demographics]\nage = 5", "customer.demographics.age: give a column"),
        ('time_zone = "Europe/Berln"\n' + GOOD, "time_zone: there is no time zone 'Europe/Berln'"),
        ('time_format = "german"\n' + GOOD, "time_format: give iso, epoch_s, epoch_ms or a pattern"),
        ('csv.encoding = "utf-9"\n' + GOOD, "csv.encoding: there is no encoding 'utf-9'"),
        ('decimal = ","\nthousands = ","\n' + GOOD, "the same character"),
        ('[receipt]\ncustomer_id = "a"\noccurred_at = "b"', "go together"),
        ('[catalog]\nname = "a"', "catalog.sku is needed in a file without sales"),
        ('[customer]\ncustomer_id = "a"', "customer.updated_at is needed in a file without sales"),
    ],
)
def test_a_wrong_mapping_is_explained(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)
    assert says in str(caught.value)
    assert str(tmp_path / "m.toml") in str(caught.value)


def test_a_mapping_or_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_mapping(tmp_path / "none.toml")
    path = tmp_path / "m.toml"
    path.write_text(GOOD, encoding="utf-8")
    with pytest.raises(UsageError, match="there is no file"):
        read_batches(tmp_path / "none.csv", load_mapping(path))
    (tmp_path / "sales.xls").touch()
    with pytest.raises(UsageError, match="cannot tell the format"):
        read_batches(tmp_path / "sales.xls", load_mapping(path))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("f.csv", "Who,day,time,sku\n", "receipt.customer_id: f.csv has no column 'who'; did you mean 'Who'"),
        ("f.csv", "x,y\n", "has no column 'who'; it has x, y"),
        ("f.csv", "", "has no column 'who'"),
        ("f.ndjson", '{"wh": 1, "day": 2, "time": 3, "sku": 4}', "has no column 'who'; did you mean 'wh'"),
        ("f.ndjson", '{"who": 1, "day": 2, "tim": 3, "sku": 4}', "has no column 'time'; did you mean 'tim'"),
    ],
)
def test_a_column_that_is_not_there(tmp_path: Path, name: str, content: str, says: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(GOOD, encoding="utf-8")
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        list(read_batches(tmp_path / name, load_mapping(path)))
    assert says in str(caught.value)

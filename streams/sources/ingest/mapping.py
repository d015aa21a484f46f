"""Which column of a retailer's file is which field of our messages: one TOML file, checked before any row is read.

Every field names a column, several columns to join, or a constant: `"Kunde"`, `["Datum", "Zeit"]`,
`{ value = "EUR" }`. In NDJSON a column is a path such as `store.id`.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from streams.errors import UsageError

TIME_FORMATS = ("iso", "epoch_s", "epoch_ms")


class Section(BaseModel):
    """A table of the mapping. Keys that we do not know are errors, not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Constant(Section):
    """The same value in every row."""

    value: str


Column = Annotated[str, Field(min_length=1)]
Source = Column | Annotated[list[Column], Field(min_length=1, max_length=8)] | Constant


class Csv(Section):
    """How a CSV file is written."""

    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(min_length=1, max_length=1)] = '"'
    encoding: str = "utf-8-sig"

    @field_validator("encoding")
    @classmethod
    def _exists(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError(f"there is no encoding {value!r}; such as utf-8 or latin-1") from None
        return value


class Kinds(Section):
    """Which values of `receipt.kind` mean what. Without `sale`, all other values are sales."""

    sale: list[str] = []
    return_: list[str] = Field([], alias="return")
    void: list[str] = []


class Receipt(Section):
    """Fields of the receipt. Without `transaction_id` it is made of customer, time and store."""

    customer_id: Source
    occurred_at: Source
    transaction_id: Source | None = None
    store_id: Source | None = None
    channel: Source | None = None
    currency: Source | None = None
    kind: Source | None = None
    kinds: Kinds = Kinds()
    original_transaction_id: Source | None = None
    lines: Column | None = Field(None, description="the list of lines, where a row is a whole receipt")
    one_receipt_per: Literal["instant", "day"] = "instant"
    without_customer: Literal["reject", "skip"] = "reject"


class Line(Section):
    """Fields of a line. Without `quantity` it is 1; `net` is made of price, quantity and discount if absent."""

    sku: Source
    quantity: Source | None = None
    unit_price: Source | None = None
    net: Source | None = None
    discount: Source | None = None
    coupon_discount: Source | None = None
    coupon_ids: Source | None = None
    promotion_ids: Source | None = None


class Catalog(Section):
    """Fields of the product; one CatalogItem a sku is published. `sku` is the line's unless given."""

    name: Source
    sku: Source | None = None
    updated_at: Source | None = None
    division: Source | None = None
    section: Source | None = None
    item_type: Source | None = None
    brand: Source | None = None
    private_label: Source | None = None
    package_size: Source | None = None
    list_price: Source | None = None
    description: Source | None = None


class CustomerColumns(Section):
    """Fields of the customer; one Customer a customer is published. `customer_id` is the receipt's unless given."""

    customer_id: Source | None = None
    updated_at: Source | None = None
    personalisation_consent: Source | None = None
    demographics: dict[Annotated[str, Field(min_length=1, max_length=64)], Source] = {}


class Mapping(Section):
    """The whole mapping of one file."""

    format: Literal["csv", "parquet", "ndjson"] | None = None
    time_zone: str = "UTC"
    time_format: Annotated[str, Field(min_length=2)] = "iso"
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""
    missing: list[str] = ["", "NULL", "null"]
    list_separator: Annotated[str, Field(min_length=1, max_length=3)] = "|"
    csv: Csv = Csv()
    receipt: Receipt | None = None
    line: Line | None = None
    catalog: Catalog | None = None
    customer: CustomerColumns | None = None

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            pl.Series([datetime(2024, 1, 1)]).dt.replace_time_zone(value)
        except pl.exceptions.ComputeError:
            raise ValueError(f"there is no time zone {value!r}; such as Europe/Berlin") from None
        return value

    @field_validator("time_format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value not in TIME_FORMATS and "%" not in value:
            raise ValueError(f"give {', '.join(TIME_FORMATS)} or a pattern such as %d.%m.%Y %H:%M")
        return value

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands are the same character")
        if (self.receipt is None) != (self.line is None):
            raise ValueError(
                "[receipt] and [line] go together: give both, or neither for a file without sales"
            )
        if self.receipt is None:
            self._check_without_receipts()
        return self

    def _check_without_receipts(self) -> None:
        if self.catalog is None and self.customer is None:
            raise ValueError("nothing is mapped; give [receipt] and [line], [catalog] or [customer]")
        for name, section, key in (
            ("catalog", self.catalog, "sku"),
            ("customer", self.customer, "customer_id"),
        ):
            for field in (key, "updated_at"):
                if section is not None and getattr(section, field) is None:
                    raise ValueError(f"{name}.{field} is needed in a file without sales")

    def sources(self) -> dict[str, Source]:
        """Every mapped field, such as `line.sku`, and where its value comes from."""
        return dict(self._sources())

    def _sources(self) -> Iterator[tuple[str, Source]]:
        for name in SOURCE_SECTIONS:
            section = getattr(self, name)
            for field in type(section).model_fields if section is not None else ():
                value = getattr(section, field)
                if field == "demographics":
                    yield from ((f"{name}.demographics.{key}", source) for key, source in value.items())
                elif value is not None and field not in NOT_A_SOURCE:
                    yield f"{name}.{field}", value


SOURCE_SECTIONS: dict[str, type[Section]] = {
    "receipt": Receipt, "line": Line, "catalog": Catalog, "customer": CustomerColumns,
}  # fmt: skip
SECTIONS = SOURCE_SECTIONS | {"csv": Csv}
NOT_A_SOURCE = {"kinds", "lines", "one_receipt_per", "without_customer"}


def columns_of(source: Source) -> list[str]:
    """The columns a field is read from; none for a constant."""
    if isinstance(source, Constant):
        return []
    return [source] if isinstance(source, str) else list(source)


def load_mapping(path: Path) -> Mapping:
    """Read and check a mapping. Raises `UsageError` naming the key that is wrong."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"mapping {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"mapping {path}: not valid TOML: {error}") from None
    try:
        return Mapping.model_validate(values)
    except ValidationError as error:
        details = {_explain(detail): None for detail in error.errors(include_url=False)}
        raise UsageError(f"mapping {path}: {'; '.join(details)}") from None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?` when some known name is close, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _explain(detail: Any) -> str:
    keys, is_source = _place(detail["loc"])
    place = ".".join(keys)
    if detail["type"] == "extra_forbidden":
        return f"{place}: unknown key{did_you_mean(keys[-1], _known_keys(keys[:-1]))}"
    if is_source and detail["type"] != "missing":
        return f'{place}: give a column "name", columns ["a", "b"] or {{ value = "constant" }}'
    message = detail["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def _place(location: tuple[int | str, ...]) -> tuple[list[str], bool]:
    """The key a complaint is about, and whether it names a source.

    Of a source pydantic complains once for each of its forms, naming the form behind the key.
    """
    keys = [str(step) for step in location]
    depth = 3 if keys[1:2] == ["demographics"] else 2
    is_source = len(keys) >= depth and keys[0] in SOURCE_SECTIONS and keys[1] not in NOT_A_SOURCE
    return (keys[:depth] if is_source else keys), is_source


def _known_keys(path: list[str]) -> list[str]:
    if path == ["receipt", "kinds"]:
        return ["sale", "return", "void"]
    return list((SECTIONS.get(path[0], Mapping) if path else Mapping).model_fields)

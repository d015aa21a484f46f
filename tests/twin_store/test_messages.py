"""The contracts hold over versions, refuse what does not fit and name the place; money and time convert exactly."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from twin_store import messages
from twin_store.messages import Click, Erasure, Message, Profile, Query, Transaction
from twin_store.messages.base import format_instant
from twin_store.messages.codec import (
    BadMessage,
    decode,
    epoch_seconds,
    headers_for,
    instant_of,
    minor_digits,
    place_of,
    to_minor,
    to_money,
    to_thousandths,
    week_of_day,
)

GOLDEN = Path(__file__).parent.parent / "golden" / "messages"
MODELS = sorted(
    (
        model
        for model in vars(messages).values()
        if isinstance(model, type) and issubclass(model, Message) and model is not Message
    ),
    key=lambda model: model.event_type,
)
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.event_type)


def golden(model: type[Message], version: str = "1.0") -> dict[str, Any]:
    """The message of a version that every later reader must decode. Never edit one: add another version."""
    path = GOLDEN / model.event_type / f"{version}.json"
    assert path.is_file(), f"{model.__name__} has no golden file; write {path}"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def golden_versions(model: type[Message]) -> list[str]:
    return sorted(path.stem for path in (GOLDEN / model.event_type).glob("*.json"))


def encode(body: Any) -> bytes:
    return json.dumps(body).encode()


# Versions


@each_model
def test_every_version_decodes_and_comes_back_the_same(model: type[Message]) -> None:
    for version in golden_versions(model):
        body = golden(model, version)
        message = decode(model, encode(body))
        assert set(body) <= set(json.loads(message.to_wire()))
        assert decode(model, message.to_wire()) == message


@each_model
def test_a_message_is_written_in_the_current_version_which_has_a_golden_file(model: type[Message]) -> None:
    assert model.model_fields["version"].default == model.current_version
    assert golden(model, model.current_version)["version"] == model.current_version


def test_a_profile_of_before_item_types_and_price_indexes_decodes() -> None:
    told = decode(Profile, encode(golden(Profile, "1.0"))).dna
    assert (told.types, told.price_index, told.promotion.deal_lift) == ([], None, None)
    assert [each.price_index for each in (*told.categories, *told.brands)] == [None, None]
    assert told.price_tier == 0.3


def test_a_query_of_version_1_0_has_no_statement_and_no_scale() -> None:
    subject = decode(Query, encode(golden(Query))).subject
    assert (subject.statement, subject.scale) == (None, [])


@pytest.mark.parametrize(
    ("field", "value"),
    [("statement", ""), ("statement", "x" * 1_001), ("scale", ["step"] * 12), ("scale", [""])],
)
def test_a_survey_has_a_short_statement_and_a_short_scale(field: str, value: Any) -> None:
    body = golden(Query, "1.1")
    body["subject"][field] = value
    with pytest.raises(BadMessage, match=rf"^subject\.{field}"):
        decode(Query, encode(body))


@each_model
def test_an_older_minor_without_optional_fields_decodes(model: type[Message]) -> None:
    body = only_required(model, golden(model))
    decode(model, encode(body))
    body.pop("version", None)
    decode(model, encode(body))


@each_model
def test_a_newer_minor_with_unknown_fields_decodes_to_the_same(model: type[Message]) -> None:
    body = golden(model)
    known = decode(model, encode(body))
    newer = with_unknown_fields(known, body) | {"version": "1.7"}
    assert decode(model, encode(newer)) == known.model_copy(update={"version": "1.7"})


@each_model
@pytest.mark.parametrize(
    "version", ["2.0", "0.9", "10.0", "1", "1.", "v1.0", "1.0.0", "", 1, 1.0, None, "9" * 100]
)
def test_an_unknown_or_malformed_version_is_refused(model: type[Message], version: Any) -> None:
    with pytest.raises(BadMessage) as caught:
        decode(model, encode(golden(model) | {"version": version}))
    assert caught.value.place == "version"


@each_model
def test_each_required_field_is_missed_by_name(model: type[Message]) -> None:
    for name, field in model.model_fields.items():
        if field.is_required():
            with pytest.raises(BadMessage, match=rf"^{name}: Field required$"):
                decode(model, encode({key: value for key, value in golden(model).items() if key != name}))


@each_model
def test_messages_are_frozen(model: type[Message]) -> None:
    message = decode(model, encode(golden(model)))
    with pytest.raises(ValidationError):
        message.version = "1.1"


def test_headers_are_cloud_events() -> None:
    message = decode(Erasure, encode(golden(Erasure)))
    headers = dict(headers_for(message, "/crm", message.requested_at))
    assert len(str(headers.pop("ce_id"))) > 20
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_source": b"/crm",
        "ce_type": b"twins.erasure.v1",
        "ce_time": b"2017-12-31T09:00:00Z",
        "content-type": b"application/json",
    }


# What does not fit


@pytest.mark.parametrize(
    "payload",
    [
        *(None, b"", b"{", b"null", b"[]", b'"text"', b"12", b"\xff\xfe\x00", b"1e999"),
        *(
            b"[" * 200_000,
            b'{"lines":' * 50_000,
            b'{"customer_id": "\\ud800"}',
            b'{"a": "' + b"x" * 1_000_000,
        ),
    ],
    ids=lambda payload: repr(payload)[:24],
)
def test_what_is_no_message_is_a_bad_message(payload: bytes | None) -> None:
    with pytest.raises(BadMessage) as caught:
        decode(Transaction, payload)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("quantity", [-1, 1_000_001, 1e300, 10**400, "2", True, None, [], float("nan"), float("inf")]),
        (
            "net",
            [
                2.5,
                "1e5",
                "99999999",
                "1.00001",
                "1,50",
                "+1",
                ".5",
                "5.",
                "",
                " 1",
                "1\n",
                "٣",
                "NaN",
                "0x1F",
            ],
        ),
        ("sku", ["", "x" * 129, "x" * 1_000_000, 1, None]),
        ("coupon_ids", ["c", ["c"] * 51, [1], None]),
    ],
)
def test_bad_values_of_a_line_are_named_by_their_place(field: str, values: list[Any]) -> None:
    for value in values:
        body = golden(Transaction)
        body["lines"][1][field] = value
        with pytest.raises(BadMessage, match=rf"^lines\[1\]\.{field}") as caught:
            decode(Transaction, encode(body))
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "instant",
    [
        *(
            "2017-03-01",
            "2017-03-01T11:53:26",
            "1488369206",
            "yesterday",
            "",
            1488369206,
            1488369206.5,
            None,
            True,
        ),
        *("2017-13-01T00:00:00Z", "2017-02-30T00:00:00Z", "2017-03-01T24:00:01Z", "2017-03-01T11:53Z"),
        *(
            "0001-01-01T00:00:00+14:00",
            "1969-12-31T23:59:59Z",
            "2100-01-01T00:00:00Z",
            "9999-12-31T23:59:59-14:00",
        ),
        "2017-03-01T11:53:26." + "1" * 1_000_000 + "Z",
    ],
    ids=lambda instant: repr(instant)[:32],
)
def test_an_instant_is_rfc_3339_with_an_offset_in_our_times(instant: Any) -> None:
    with pytest.raises(BadMessage, match=r"^occurred_at: .{5,120}$"):
        decode(Transaction, encode(golden(Transaction) | {"occurred_at": instant}))


@pytest.mark.parametrize(
    "instant",
    [
        "2017-03-01T11:53:26Z",
        "2017-03-01t11:53:26z",
        "2017-03-01 12:53:26+01:00",
        "2017-03-01T11:53:26.000000001Z",
    ],
)
def test_all_forms_of_rfc_3339_are_read_and_utc_is_written(instant: str) -> None:
    message = decode(Transaction, encode(golden(Transaction) | {"occurred_at": instant}))
    assert json.loads(message.to_wire())["occurred_at"] == "2017-03-01T11:53:26Z"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"original_transaction_id": None}, "a return must name original_transaction_id"),
        ({"lines": []}, "a return must have at least one line"),
        ({"currency": "DOLLAR"}, "currency: "),
        ({"kind": "gift"}, "kind: Input should be 'sale', 'return' or 'void'"),
        ({"lines": [{"sku": "1", "quantity": 1}] * 5_001}, "lines: List should have at most 5000 items"),
    ],
)
def test_rules_of_a_receipt(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadMessage, match=reason):
        decode(Transaction, encode(golden(Transaction) | change))


def test_a_click_belongs_to_someone() -> None:
    with pytest.raises(BadMessage, match="customer_id or anonymous_id"):
        decode(Click, encode(golden(Click) | {"customer_id": None, "anonymous_id": None}))


def test_places_are_paths_and_short() -> None:
    assert place_of(("lines", 3, "quantity")) == "lines[3].quantity"
    assert place_of(()) is None
    assert len(place_of(("demographics", "x" * 1_000_000)) or "") < 100


# Money, quantity, time


@given(st.integers(-(10**9), 10**9), st.sampled_from(["USD", "JPY", "KWD"]))
def test_money_comes_back_exactly_in_every_currency(minor: int, currency: str) -> None:
    digits = minor_digits(currency)
    money = to_money(minor, digits)
    assert to_minor(money, digits) == minor
    assert Decimal(money) == Decimal(minor).scaleb(-digits)
    assert len(money.partition(".")[2]) == digits


@pytest.mark.parametrize(
    ("money", "currency", "minor"),
    [
        ("12.34", "USD", 1234), ("-0.10", "USD", -10), ("5", "USD", 500), ("0.0", "EUR", 0),
        ("0.125", "USD", 12), ("0.135", "USD", 14), ("-0.125", "USD", -12),
        ("1234", "JPY", 1234), ("1234.5", "JPY", 1234), ("1235.5", "JPY", 1236),
        ("1.234", "KWD", 1234), ("1.2345", "KWD", 1234), ("9999999.9999", "KWD", 10_000_000_000),
    ],
)  # fmt: skip
def test_money_rounds_half_to_even(money: str, currency: str, minor: int) -> None:
    assert to_minor(money, minor_digits(currency)) == minor


def test_money_is_written_with_the_digits_of_its_currency() -> None:
    assert [to_money(-1205, minor_digits(currency)) for currency in ("USD", "JPY", "KWD")] == [
        "-12.05", "-1205", "-1.205",
    ]  # fmt: skip
    assert to_money(0) == "0.00"


@given(st.floats(0, 1_000_000))
def test_quantities_are_the_nearest_thousandth(quantity: float) -> None:
    assert abs(to_thousandths(quantity) - quantity * 1000) <= 0.5


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30)),
    st.integers(-14 * 60, 14 * 60),
)
def test_instants_come_back_exactly(local: datetime, offset_minutes: int) -> None:
    instant = local.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    text = format_instant(instant)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == instant
    decoded = decode(Erasure, encode({"customer_id": "c", "requested_at": text}))
    assert decoded.requested_at == instant
    assert instant_of(epoch_seconds(instant)) == instant.astimezone(UTC).replace(microsecond=0)


def test_weeks_begin_on_monday() -> None:
    days = [
        (datetime(2017, 1, day, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days for day in (1, 2, 8, 9)
    ]
    weeks = [week_of_day(day) for day in days]
    assert [week - weeks[0] for week in weeks] == [0, 1, 1, 2]
    assert week_of_day(4) == 0


# Bodies by model


def only_required(model: type[BaseModel], body: dict[str, Any]) -> dict[str, Any]:
    """The body without every optional field that its rules allow to go."""
    optional = [name for name in body if not model.model_fields[name].is_required()]
    kept = dict(body)
    for name in optional:
        fewer = {key: value for key, value in kept.items() if key != name}
        try:
            model.model_validate_json(encode(fewer))
        except ValidationError:
            continue
        kept = fewer
    return kept


def with_unknown_fields(message: Any, body: Any) -> Any:
    """The body of `message` with a field of the future in it and in each of its parts; maps are left alone."""
    if isinstance(message, BaseModel):
        known = {key: with_unknown_fields(getattr(message, key), value) for key, value in body.items()}
        return known | {"of_the_future": {"any": [1, "x"]}}
    if isinstance(message, list):
        return [with_unknown_fields(*pair) for pair in zip(message, body, strict=True)]
    return body

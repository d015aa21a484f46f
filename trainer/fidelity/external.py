"""Cases as text, one JSON object a line: made elsewhere, or frozen here. What each line must hold, and its answer.

`as_of` is a moment, and only what happened before it is known: an event of that very second is not.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast, get_args

from twin_store.messages.decisions import ProductContext, QuestionKind

Kind = Literal[
    "purchase",
    "promotion_response",
    "basket_completion",
    "next_basket",
    "trip_choice",
    "voucher_redemption",
]
KINDS = get_args(Kind)
# What a next_basket case is ranked by: the probability that she buys it on her next trip.
ASKED_AS: dict[Kind, QuestionKind] = {"next_basket": "purchase"}
RANKED = 10  # of a next basket, if the case does not say `k`
RANKED_MAX = 200


class CaseError(ValueError):
    """A line that is no case; the message names the line."""


@dataclass(frozen=True)
class ExternalCase:
    """One line.

    Attributes:
        line: its number, from 1.
        as_of: the last second that is known, epoch seconds: the one before the line's `as_of`.
        context: what the line says of its candidates in the store, None if it says nothing.
        ends: when the campaign ends, epoch seconds.
        matched: candidates were drawn as hard negatives, one to one (the line's `matched`, true if not given).
    """

    line: int
    case_id: str
    kind: Kind
    customer_id: str
    as_of: int
    store_id: str | None = None
    candidates: tuple[str, ...] = ()
    context: tuple[ProductContext, ...] | None = None
    partial_basket: tuple[str, ...] = ()
    baskets: tuple[tuple[str, ...], ...] = ()
    campaign_id: str | None = None
    campaign_type: str | None = None
    ends: int | None = None
    k: int = RANKED
    matched: bool = True


def read_cases(lines: Iterable[str]) -> Iterator[ExternalCase]:
    """The cases of lines, empty ones left out. Raises `CaseError` at the first that is none."""
    seen: dict[str, int] = {}
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        case = _read_line(number, text)
        if case.case_id in seen:
            raise CaseError(f"line {number}: case_id {case.case_id!r} is that of line {seen[case.case_id]}")
        seen[case.case_id] = number
        yield case


def _read_line(number: int, text: str) -> ExternalCase:
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("it is no JSON object")
        return _case_of(number, found)
    except json.JSONDecodeError as error:
        raise CaseError(f"line {number}: no JSON: {error.msg} at character {error.pos + 1}") from None
    except (TypeError, ValueError) as error:
        raise CaseError(f"line {number}: {error}") from None


def _case_of(number: int, found: dict[str, Any]) -> ExternalCase:
    kind = _text(found, "kind")
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r}: there are {', '.join(KINDS)}")
    candidates = _skus(found.get("candidates"), "candidates")
    baskets = found.get("baskets") or []
    if not isinstance(baskets, list):
        raise ValueError("baskets is no list of lists of skus")
    end = found.get("end_date")
    k = found.get("k")
    if k is not None and (not isinstance(k, int) or isinstance(k, bool) or not 0 < k <= RANKED_MAX):
        raise ValueError(f"k is no whole number from 1 to {RANKED_MAX}")
    case = ExternalCase(
        number,
        _text(found, "case_id"),
        cast(Kind, kind),
        _text(found, "customer_id"),
        math.ceil(_instant(_text(found, "as_of"), "as_of").timestamp()) - 1,
        _optional(found, "store_id"),
        candidates,
        _context(found.get("candidate_ctx"), candidates),
        _skus(found.get("partial_basket"), "partial_basket"),
        tuple(_skus(basket, "baskets") for basket in baskets),
        _optional(found, "campaign_id"),
        _optional(found, "campaign_type"),
        None if end is None else int(_instant(str(end), "end_date").timestamp()),
        RANKED if k is None else k,
        found.get("matched", True) is not False,
    )
    _check(case)
    return case


def _check(case: ExternalCase) -> None:
    """What its kind needs is there."""
    if case.kind in ("purchase", "promotion_response", "basket_completion") and not case.candidates:
        raise ValueError(f"a {case.kind} case needs candidates")
    if case.kind == "basket_completion" and not case.partial_basket:
        raise ValueError("a basket_completion case needs a partial_basket")
    if case.kind == "trip_choice" and (len(case.baskets) < 2 or not all(case.baskets)):
        raise ValueError("a trip_choice case needs two baskets or more, none empty")
    if case.kind == "voucher_redemption" and case.campaign_id is None:
        raise ValueError("a voucher_redemption case needs a campaign_id")


def _text(found: dict[str, Any], name: str) -> str:
    text = _optional(found, name)
    if text is None:
        raise ValueError(f"{name} is missing")
    return text


def _optional(found: dict[str, Any], name: str) -> str | None:
    """Ids may be written as numbers."""
    value = found.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{name} is neither text nor a whole number")
    return str(value)


def _instant(text: str, name: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name} {text!r} is no date or moment such as 2017-10-01T18:30:00Z") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _skus(value: Any, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or any(
        isinstance(sku, bool) or not isinstance(sku, str | int) or sku == "" for sku in value
    ):
        raise ValueError(f"{name} is no list of skus")
    return tuple(str(sku) for sku in value)


def _context(value: Any, candidates: tuple[str, ...]) -> tuple[ProductContext, ...] | None:
    """Where display and mailer are said of each candidate. A price is an estimate and is left out; see decision 81."""
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != len(candidates):
        raise ValueError("candidate_ctx has not as many entries as candidates")
    if any(not isinstance(each, dict) for each in value):
        raise ValueError("candidate_ctx is no list of JSON objects")
    return tuple(
        ProductContext(sku=sku, display=bool(said.get("display")), mailer=bool(said.get("mailer")))
        for sku, said in zip(candidates, value, strict=True)
    )

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
ID_LENGTH_MAX = 128
FIRST_MOMENT, LAST_MOMENT = 0, 4_102_444_800  # 1970 to 2100, epoch seconds: beyond is a slip of the pen
NO_CODES = ("", "0", "no", "none", "false", "nan", "null")  # of display and mailer, where they are text


class CaseError(ValueError):
    """A line that is no case; the message names the line."""


@dataclass(frozen=True)
class Unanswered:
    """A line that gets no answer. `case_id` is None where the line has none that can be read."""

    line: int
    case_id: str | None
    reason: str

    def as_json(self) -> dict[str, Any]:
        """As the answers' file has it, in the place of the answer."""
        return {"case_id": self.case_id, "line": self.line, "error": self.reason}


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
    for found in read_lines(lines):
        if isinstance(found, Unanswered):
            raise CaseError(f"line {found.line}: {found.reason}")
        yield found


def read_lines(lines: Iterable[str | bytes]) -> Iterator[ExternalCase | Unanswered]:
    """What each line is, empty ones left out; bytes are UTF-8, with a byte order mark at the beginning or not."""
    seen: dict[str, int] = {}
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        found = _read_line(number, text)
        if isinstance(found, ExternalCase):
            if found.case_id in seen:
                reason = f"case_id {found.case_id!r} is that of line {seen[found.case_id]}"
                found = Unanswered(number, found.case_id, reason)
            else:
                seen[found.case_id] = number
        yield found


def _read_line(number: int, text: str | bytes) -> ExternalCase | Unanswered:
    found: Any = None
    try:
        found = json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
        if not isinstance(found, dict):
            raise ValueError("it is no JSON object")
        return _case_of(number, found)
    except UnicodeDecodeError as error:
        reason = f"no UTF-8 at byte {error.start + 1}"
    except json.JSONDecodeError as error:
        reason = f"no JSON: {error.msg} at character {error.pos + 1}"
    except RecursionError:
        reason = "no JSON that can be read: it is nested too deeply"
    except ValueError as error:
        reason = str(error)
    case_id = found.get("case_id") if isinstance(found, dict) else None
    return Unanswered(number, case_id if isinstance(case_id, str) else None, reason)


def _plain(value: Any) -> Any:
    """Tables write what is missing as NaN, and whole numbers of a column with gaps as 18.0."""
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if value.is_integer():
            return int(value)
    return value


def _case_of(number: int, said: dict[str, Any]) -> ExternalCase:
    found = {name: _plain(value) for name, value in said.items()}
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
        math.ceil(_seconds(_text(found, "as_of"), "as_of")) - 1,
        _optional(found, "store_id"),
        candidates,
        _context(found.get("candidate_ctx"), candidates),
        _skus(found.get("partial_basket"), "partial_basket"),
        tuple(_skus(basket, "baskets") for basket in baskets),
        _optional(found, "campaign_id"),
        _optional(found, "campaign_type"),
        None if end is None else int(_seconds(str(end), "end_date")),
        RANKED if k is None else k,
        found.get("matched", True) is not False,
    )
    _check(case)
    return case


def _check(case: ExternalCase) -> None:
    """What its kind needs is there."""
    if case.kind in ("purchase", "promotion_response", "basket_completion") and not case.candidates:
        raise ValueError(f"a {case.kind} case needs candidates")
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
    if len(str(value)) > ID_LENGTH_MAX:
        raise ValueError(f"{name} is longer than {ID_LENGTH_MAX} characters")
    return str(value)


def _seconds(text: str, name: str) -> float:
    """Epoch seconds; without a zone it is UTC."""
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{name} {text!r} is no date or moment such as 2017-10-01T18:30:00Z") from None
    seconds = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    if not FIRST_MOMENT < seconds <= LAST_MOMENT:
        raise ValueError(f"{name} {text!r} is not between 1970 and 2100")
    return seconds


def _skus(value: Any, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or any(
        isinstance(sku, bool) or not isinstance(sku, str | int) or sku == "" for sku in value
    ):
        raise ValueError(f"{name} is no list of skus")
    skus = tuple(str(sku) for sku in value)
    if any(len(sku) > ID_LENGTH_MAX for sku in skus):
        raise ValueError(f"{name} has a sku of more than {ID_LENGTH_MAX} characters")
    return skus


def _context(value: Any, candidates: tuple[str, ...]) -> tuple[ProductContext, ...] | None:
    """Where display and mailer are said of each candidate. A price is an estimate and is left out; see decision 81."""
    if value is None or value == []:
        return None
    if not isinstance(value, list) or len(value) != len(candidates):
        raise ValueError("candidate_ctx has not as many entries as candidates")
    if any(not isinstance(each, dict) for each in value):
        raise ValueError("candidate_ctx is no list of JSON objects")
    return tuple(
        ProductContext(sku=sku, display=_flag(said, "display"), mailer=_flag(said, "mailer"))
        for sku, said in zip(candidates, value, strict=True)
    )


def _flag(said: dict[str, Any], name: str) -> bool:
    """Whether a product is on display or in the mailer. Retailers' codes of where it stands are yes, `0` is no."""
    value = said.get(name)
    if value is None or isinstance(value, bool):
        return value is True
    if isinstance(value, str):
        return value.strip().lower() not in NO_CODES
    if isinstance(value, int | float):
        return _plain(value) not in (None, 0)
    raise ValueError(f"candidate_ctx has a {name} that is no flag")

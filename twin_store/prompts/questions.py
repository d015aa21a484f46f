"""The questions in words, by kind: what is asked, what the options are, and in which form the answer comes.

A question about several products is several prompts, one each, but for a basket to complete, which has one prompt with
a letter for each product. A choice between trips is asked both ways round, so that whoever averages the two is
rid of the position; a voucher is asked for in two forms (LBM: first-token P(YES), and "Likelihood: NN").
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from twin_store.dna.rows import SECONDS_PER_DAY
from twin_store.evidence import Question, UnanswerableQuestion
from twin_store.messages.codec import epoch_seconds
from twin_store.messages.decisions import SCALE_MAX, Subject
from twin_store.prompts.answers import LETTERS, LIKELIHOOD, NO, YES, Form
from twin_store.prompts.escaping import quoted

ITEMS_SHOWN = 30  # of one basket
COVERED_SHOWN = 5
STATEMENT_CHARS_MAX = 500
REVIEW_WORDS_MAX = 80
ALONE = ""  # the letter of what is asked about alone

ASK_YES_NO = f"Answer with one word, {YES} or {NO}."
ASK_LIKELIHOOD = f"Answer with one line, {LIKELIHOOD}NN, where NN is a whole number from 0 to 100."


@dataclass(frozen=True, slots=True)
class Asked:
    """One question as one prompt puts it.

    Attributes:
        lines: its words; the last line says how to answer.
        options: of each letter, from A on, the place in the subject of what it stands for; empty without letters.
        about: the place in the subject of the one candidate that it is about.
        rows: by letter, the row of the evidence.
        skus: by letter, the products it stands for.
    """

    form: Form
    lines: tuple[str, ...]
    options: tuple[int, ...] = ()
    about: int = 0
    rows: Mapping[str, int] | None = None
    skus: Mapping[str, Sequence[str]] | None = None


def questions_of(question: Question, names: Mapping[str, str]) -> list[Asked]:
    """The prompts' questions, in a fixed order.

    Raises:
        UnanswerableQuestion: the subject lacks what its kind needs, or has more options than there are letters.
    """
    called = _Names(names)
    match question.kind:
        case "voucher_redemption":
            return list(_vouchers(question, called))
        case "basket_completion":
            return [_completion(question.subject, called)]
        case "trip_choice":
            return list(_trips(question.subject, called))
        case "survey":
            return [_survey(question.subject)]
        case "review":
            return [_review(question.subject, called)]
        case _:
            return list(_purchases(question, called))


class _Names:
    """What products are called, quoted; the sku where no name is known."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def __getitem__(self, sku: str) -> str:
        return quoted(self._names.get(sku) or sku)

    def basket(self, skus: Sequence[str]) -> str:
        """A basket's products, each once and by name: the order of a list says nothing about what was bought."""
        said = sorted(self[sku] for sku in dict.fromkeys(skus))
        more = f" and {len(said) - ITEMS_SHOWN} more" if len(said) > ITEMS_SHOWN else ""
        return f"{len(said)} items, {', '.join(said[:ITEMS_SHOWN])}{more}" if said else "nothing yet"


def _purchases(question: Question, called: _Names) -> Iterator[Asked]:
    asks = "On her next trip, will this customer buy the product?"
    if question.kind == "promotion_response":
        asks = "The product is promoted now. On her next trip, will this customer buy it?"
    _need(bool(question.subject.candidates), "subject.candidates is empty; name the products to ask about")
    for place, sku in enumerate(question.subject.candidates):
        yield Asked(
            "yes_no",
            (asks, f"product: {called[sku]}", ASK_YES_NO),
            about=place,
            rows={ALONE: place},
            skus={ALONE: [sku]},
        )


def _vouchers(question: Question, called: _Names) -> Iterator[Asked]:
    subject = question.subject
    _need(bool(subject.voucher_skus), "subject.voucher_skus is empty; name what the vouchers cover")
    covered = ", ".join(called[sku] for sku in subject.voucher_skus[:COVERED_SHOWN])
    more = len(subject.voucher_skus) - COVERED_SHOWN
    lines = [
        "This customer is sent a voucher. Will she redeem it before it ends?",
        f"campaign: {quoted(subject.campaign_type or 'unknown')}",
        f"covers: {covered}" + (f" and {more} more products" if more > 0 else ""),
    ]
    if subject.ends_at is not None:
        days = (epoch_seconds(subject.ends_at) - question.as_of) // SECONDS_PER_DAY
        lines.append(f"ends in: {max(days, 0)} days")
    yield Asked("yes_no", (*lines, ASK_YES_NO), rows={ALONE: 0})
    yield Asked("likelihood", (*lines, ASK_LIKELIHOOD), rows={ALONE: 0})


def _completion(subject: Subject, called: _Names) -> Asked:
    candidates = subject.candidates
    _need(len(candidates) > 1, "subject.candidates needs two products or more to choose from")
    _need_letters(len(candidates), "subject.candidates")
    letters = LETTERS[: len(candidates)]
    return Asked(
        "option",
        (
            "Which one of the products will this customer put in the basket next?",
            f"basket so far: {called.basket(subject.partial_basket)}",
            *(f"{letter}. {called[sku]}" for letter, sku in zip(letters, candidates, strict=True)),
            _ask_letter(len(candidates)),
        ),
        tuple(range(len(candidates))),
        rows={letter: place for place, letter in enumerate(letters)},
        skus={letter: [sku] for letter, sku in zip(letters, candidates, strict=True)},
    )


def _trips(subject: Subject, called: _Names) -> Iterator[Asked]:
    baskets = subject.baskets
    _need(len(baskets) > 1 and all(baskets), "subject.baskets needs two baskets or more, none empty")
    _need_letters(len(baskets), "subject.baskets")
    letters = LETTERS[: len(baskets)]
    forward = tuple(range(len(baskets)))
    for order in (forward, forward[::-1]):
        yield Asked(
            "option",
            (
                "One of the baskets is what this customer buys on her next trip. Which one?",
                *(
                    f"{letter}. {called.basket(baskets[place])}"
                    for letter, place in zip(letters, order, strict=True)
                ),
                _ask_letter(len(baskets)),
            ),
            order,
            rows=dict(zip(letters, order, strict=True)),
            skus={
                letter: list(dict.fromkeys(baskets[place]))
                for letter, place in zip(letters, order, strict=True)
            },
        )


def _survey(subject: Subject) -> Asked:
    _need(subject.statement is not None, "subject.statement is missing; give what is put to her")
    _need(1 < len(subject.scale) <= SCALE_MAX, f"subject.scale needs 2 to {SCALE_MAX} steps")
    letters = LETTERS[: len(subject.scale)]
    return Asked(
        "option",
        (
            "A survey puts the statement to this customer. Which step of the scale does she choose?",
            f"statement: {quoted(subject.statement or '', STATEMENT_CHARS_MAX)}",
            *(f"{letter}. {quoted(step)}" for letter, step in zip(letters, subject.scale, strict=True)),
            _ask_letter(len(subject.scale)),
        ),
        tuple(range(len(subject.scale))),
    )


def _review(subject: Subject, called: _Names) -> Asked:
    _need(len(subject.candidates) == 1, "subject.candidates needs the one product that the review is of")
    (sku,) = subject.candidates
    lines = ["Write the review of the product that this customer would write.", f"product: {called[sku]}"]
    if subject.statement is not None:
        lines.append(f"speaks to: {quoted(subject.statement, STATEMENT_CHARS_MAX)}")
    lines.append(f"Answer with its text alone, at most {REVIEW_WORDS_MAX} words.")
    return Asked("text", tuple(lines), skus={ALONE: [sku]})


def _ask_letter(options: int) -> str:
    return f"Answer with one letter, {LETTERS[0]} to {LETTERS[options - 1]}."


def _need_letters(options: int, place: str) -> None:
    _need(options <= len(LETTERS), f"{place} has {options} options; a prompt has letters for {len(LETTERS)}")


def _need(given: bool, reason: str) -> None:
    if not given:
        raise UnanswerableQuestion(reason)

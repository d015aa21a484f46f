"""From a question about a twin to its evidence: strings to keys, the twin rewound, the compiled readers called."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from twin_store.affinity import Affinity
from twin_store.catalogue import UNKNOWN, Catalogue
from twin_store.dna.twin import Twin, rewind
from twin_store.evidence.baskets import basket_evidence
from twin_store.evidence.items import E_DISPLAY, E_MAILER, E_PRICE, ENVIRONMENT_COLUMNS, item_evidence
from twin_store.evidence.names import EVIDENCE_NAMES
from twin_store.evidence.vouchers import voucher_evidence
from twin_store.key_index import ABSENT
from twin_store.market import Market
from twin_store.messages.codec import SECONDS_PER_DAY, epoch_seconds, minor_digits, to_minor
from twin_store.messages.decisions import Environment, QuestionKind, Subject
from twin_store.symbols import KeyMemo, visit_name

CHANNEL = "store"  # what a question's store is a store of


class UnanswerableQuestion(ValueError):  # noqa: N818 - it is the question that is wrong
    """The question lacks what its kind needs; the message names the field."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a twin. `as_of` is epoch seconds: events at or before it are known."""

    kind: QuestionKind
    as_of: int
    subject: Subject
    environment: Environment = field(default_factory=Environment)


@dataclass(frozen=True, slots=True)
class Products:
    """What is known of products beside the twin."""

    catalogue: Catalogue
    market: Market
    currency: str = "USD"


class EvidenceReader:
    """Reads evidence with one model's fitted tables. Keeps memos of keys and campaigns; not thread-safe."""

    def __init__(self, products: Products, affinity: Affinity) -> None:
        self._products = products
        self._affinity = affinity
        self._digits = minor_digits(products.currency)
        self._keys = KeyMemo()
        self._campaigns: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]] = {}

    def read(self, question: Question, twin: Twin) -> np.ndarray:
        """float64 [n, F]: one row a candidate or basket, or one row; columns as `EVIDENCE_NAMES[kind]`.

        Raises:
            UnanswerableQuestion: if the subject lacks what its kind needs, or there is no evidence on that kind.
        """
        if question.kind not in EVIDENCE_NAMES:
            raise UnanswerableQuestion(f"kind {question.kind} has no evidence: no purchase tells the answer")
        twin = rewind(twin, question.as_of)
        subject = question.subject
        match question.kind:
            case "voucher_redemption":
                return self._vouchers(question, twin)
            case "trip_choice":
                if len(subject.baskets) < 2 or not all(subject.baskets):
                    raise UnanswerableQuestion("subject.baskets needs two baskets or more, none empty")
                baskets = [list(dict.fromkeys(basket)) for basket in subject.baskets]
                ends = np.cumsum([len(basket) for basket in baskets])
                items = self._items(question, twin, [sku for basket in baskets for sku in basket], [])
                return basket_evidence(items, ends)
            case _:
                if not subject.candidates:
                    raise UnanswerableQuestion("subject.candidates is empty; name the products to ask about")
                basket = subject.partial_basket if question.kind == "basket_completion" else []
                return self._items(question, twin, subject.candidates, basket)

    def _items(
        self, question: Question, twin: Twin, skus: Sequence[str], basket: Sequence[str]
    ) -> np.ndarray:
        environment = question.environment
        store = environment.store_id
        return item_evidence(
            twin.cells,
            twin.visits,
            twin.head,
            question.as_of,
            self._products.catalogue.tables(),
            self._products.market.tables(),
            self._affinity.skus,
            self._affinity.types,
            self._affinity.stores,
            self._keys_of(skus),
            self._context(environment, skus),
            0 if store is None else self._keys[store],
            0 if store is None else self._keys[visit_name(CHANNEL, store)],
            self._keys_of(list(dict.fromkeys(basket))),
        )

    def _vouchers(self, question: Question, twin: Twin) -> np.ndarray:
        subject = question.subject
        if not subject.voucher_skus:
            raise UnanswerableQuestion("subject.voucher_skus is empty; name what the vouchers cover")
        covered, covered_types = self._campaign(tuple(subject.voucher_skus))
        days = math.nan
        if subject.ends_at is not None:
            days = (epoch_seconds(subject.ends_at) - question.as_of) // SECONDS_PER_DAY
        rate = self._affinity.campaign_rates.get(subject.campaign_type or "", math.nan)
        return voucher_evidence(
            twin.cells,
            twin.visits,
            twin.head,
            question.as_of,
            self._products.catalogue.tables(),
            covered,
            covered_types,
            days,
            rate,
        )

    def _keys_of(self, skus: Sequence[str]) -> np.ndarray:
        return np.array([self._keys[sku] for sku in skus], dtype=np.int64)

    def _context(self, environment: Environment, skus: Sequence[str]) -> np.ndarray:
        rows = np.full((len(skus), ENVIRONMENT_COLUMNS), math.nan)
        said = {product.sku: product for product in environment.context}
        if not said:
            return rows
        for i, sku in enumerate(skus):
            product = said.get(sku)
            if product is None:
                continue
            if product.price is not None:
                rows[i, E_PRICE] = to_minor(product.price, self._digits)
            rows[i, E_DISPLAY] = product.display
            rows[i, E_MAILER] = product.mailer
        return rows

    def _campaign(self, skus: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Keys of the skus and of their types, sorted; a campaign's whole audience is asked with the same list."""
        if skus not in self._campaigns:
            if len(self._campaigns) >= 256:
                self._campaigns.clear()
            keys = np.unique(self._keys_of(skus))
            rows = self._products.catalogue.rows_of(keys)
            types = np.unique(self._products.catalogue.tables().item_type[rows[rows != ABSENT]])
            self._campaigns[skus] = keys, types[types != UNKNOWN]
        return self._campaigns[skus]


def named(kind: QuestionKind, row: np.ndarray) -> dict[str, float]:
    """One row of evidence by name, missing numbers left out."""
    return {
        name: value
        for name, value in zip(EVIDENCE_NAMES[kind], row.tolist(), strict=True)
        if not math.isnan(value)
    }

"""Frozen cases: drawn once, written as lines that anybody can answer, read back with their truths.

A line is an external case (`trainer.fidelity.external`) with `family`, `truth` and `weights` besides. The first line
says where the cases are from and has the SHA-256 of all others.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.fidelity.external import ExternalCase, read_cases
from trainer.fidelity.families import NEXT_BASKET
from trainer.tasks.cases import Case
from twin_store.messages.base import format_instant
from twin_store.messages.codec import instant_of


class FrozenError(ValueError):
    """The file is no file of frozen cases, or was changed; the message says which."""


@dataclass(frozen=True)
class FrozenCase:
    """A case with its truth.

    Attributes:
        labels, weights: one a candidate or basket, or one for YES; empty for a next basket.
        bought: the skus of a next basket.
    """

    family: str
    asked: ExternalCase
    labels: tuple[int, ...]
    weights: tuple[float, ...]
    bought: tuple[str, ...] = ()


def freeze(drawn: Mapping[str, Sequence[tuple[Case, tuple[str, ...]]]], about: dict[str, Any]) -> str:
    """The text of a file of these cases by family; `about` goes into its first line."""
    lines = [
        json.dumps(_line(f"{family}-{number}", family, case, bought))
        for family, cases in drawn.items()
        for number, (case, bought) in enumerate(cases)
    ]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return "\n".join([json.dumps(about | {"cases": len(lines), "sha256": digest}), *lines]) + "\n"


def thaw(text: str) -> tuple[dict[str, Any], list[FrozenCase]]:
    """The first line and the cases. Raises `FrozenError`."""
    first, _, rest = text.partition("\n")
    lines = rest.splitlines()
    try:
        about: dict[str, Any] = json.loads(first)
        expected = about["sha256"]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise FrozenError("the first line is not that of frozen cases") from None
    if hashlib.sha256("\n".join(lines).encode()).hexdigest() != expected:
        raise FrozenError("the cases are not those that were frozen: their hash differs")
    found = [json.loads(line) for line in lines]
    return about, [
        FrozenCase(
            said["family"],
            asked,
            tuple(said["truth"]) if said["family"] != NEXT_BASKET else (),
            tuple(said["weights"]),
            tuple(said["truth"]) if said["family"] == NEXT_BASKET else (),
        )
        for asked, said in zip(read_cases(lines), found, strict=True)
    ]


def _line(case_id: str, family: str, case: Case, bought: tuple[str, ...]) -> dict[str, Any]:
    """Only what is set; `as_of` is the moment after the last that is known."""
    subject = case.subject
    said = {
        "case_id": case_id,
        "family": family,
        "kind": NEXT_BASKET if family == NEXT_BASKET else case.kind,
        "customer_id": case.customer_id,
        "as_of": format_instant(instant_of(case.as_of + 1)),
        "store_id": case.environment.store_id,
        "candidates": list(subject.candidates),
        "candidate_ctx": [
            {"display": each.display, "mailer": each.mailer} for each in case.environment.context
        ],
        "partial_basket": list(subject.partial_basket),
        "baskets": [list(basket) for basket in subject.baskets],
        "campaign_id": subject.campaign_id,
        "campaign_type": subject.campaign_type,
        "end_date": None if subject.ends_at is None else format_instant(subject.ends_at),
    }
    said = {name: value for name, value in said.items() if value not in (None, [])}
    truth = list(bought) if family == NEXT_BASKET else list(case.labels)
    return said | {"matched": case.matched, "truth": truth, "weights": list(case.weights)}

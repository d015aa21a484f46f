"""Scenes made by hand for the prompt tests: one customer, her DNA, a question of each kind, evidence and buckets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from twin_store.evidence import EVIDENCE_NAMES, Question
from twin_store.messages.codec import epoch_seconds, instant_of
from twin_store.messages.decisions import Environment, QuestionKind, Subject
from twin_store.messages.profiles import ShoppingDna
from twin_store.prompts import Buckets, Scene
from twin_store.prompts.families import FAMILY_OF
from twin_store.segments import load_definitions

GOLDEN = Path(__file__).parent.parent.parent / "golden"
DAY = 86_400
NAMES = {
    "993638": "Private FLUID MILK WHITE ONLY 1 GA",
    "995242": "National CHEESE SHREDDED 8 OZ",
    "1029743": "Private WHITE BREAD 20 OZ",
    "1082185": "National BANANAS 40 LB",
}
NAMED = "993638"  # the product whose name tests change
SUBJECTS: dict[QuestionKind, dict[str, Any]] = {
    "purchase": {"candidates": ["993638", "995242"]},
    "promotion_response": {"candidates": ["993638"]},
    "voucher_redemption": {
        "campaign_id": "18",
        "campaign_type": "Type A",
        "voucher_skus": ["993638", "995242", "1029743", "1082185", "1", "2", "3"],
        "ends_at": "2017-06-01T00:00:00Z",
    },
    "basket_completion": {"candidates": ["993638", "995242", "77"], "partial_basket": ["1082185", "1029743"]},
    "trip_choice": {"baskets": [["993638", "1082185"], ["995242"]]},
    "survey": {
        "statement": "The fresh produce in my store is worth its price.",
        "scale": ["strongly disagree", "disagree", "neither", "agree", "strongly agree"],
    },
    "review": {"candidates": ["993638"], "statement": "how it tastes and what it costs"},
}
ENVIRONMENT = {
    "store_id": "330",
    "context": [
        {"sku": "993638", "price": "3.29", "display": True},
        {"sku": "995242", "price": "2.50", "mailer": True},
    ],
    "products": [
        {"sku": "1", "name": "CHEDDAR", "similarity": 0.5},
        {"sku": "2", "name": "SKIM MILK", "similarity": 0.875},
        {"sku": "3", "name": "WHOLE MILK", "similarity": 0.875},
        {"sku": "4", "name": "BUTTER", "similarity": 0.25},
    ],
}


def profile() -> dict[str, Any]:
    """The profile of the golden messages; it is of 2017-05-01."""
    path = GOLDEN / "messages" / "twins.profile" / "1.1.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def options_of(kind: QuestionKind, subject: Subject) -> int:
    """How many rows the evidence has."""
    return 1 if kind == "voucher_redemption" else len(subject.baskets or subject.candidates)


def evidence_of(kind: QuestionKind, rows: int) -> np.ndarray | None:
    """Some number in every column, another one in each row, and every seventh one missing."""
    if kind not in FAMILY_OF:
        return None
    columns = len(EVIDENCE_NAMES[kind])
    table = (np.arange(rows * columns).reshape(rows, columns) * 37 % 101) / 10
    table[:, ::7] = np.nan
    return table


def buckets() -> Buckets:
    """Fitted on plain numbers from 0 to 10."""
    kinds: tuple[QuestionKind, ...] = ("purchase", "trip_choice", "voucher_redemption")
    values = np.linspace(0, 10, 401)
    return Buckets.fit(
        {kind: np.repeat(values[:, None], len(EVIDENCE_NAMES[kind]), axis=1) for kind in kinds}
    )


def scene(
    kind: QuestionKind,
    subject: Mapping[str, Any] | None = None,
    names: Mapping[str, str] | None = None,
    environment: Mapping[str, Any] | None = None,
) -> Scene:
    """A question of this kind, half past nine on a Tuesday."""
    body = SUBJECTS[kind] if subject is None else subject
    asked = Subject.model_validate_json(json.dumps(body))
    surroundings = Environment.model_validate_json(json.dumps(environment or ENVIRONMENT))
    question = Question(kind, epoch_seconds(instant_of(1_493_717_400)), asked, surroundings)
    return Scene(
        question,
        load_definitions("personas-1").segment("regulars"),
        ShoppingDna.model_validate_json(json.dumps(profile()["dna"])),
        evidence_of(kind, options_of(kind, asked)),
        NAMES if names is None else names,
    )


def with_segment(scene: Scene, name: str) -> Scene:
    """The same question to somebody of another segment."""
    return replace(scene, segment=load_definitions("personas-1").segment(name))

"""A language decider's first questions, put before a customer's: what is compiled or loaded for them is there then."""

import logging
from collections.abc import Mapping
from typing import Any

from trainer.deciders.base import DecisionInput
from trainer.deciders.language.decider import LanguageDecider
from twin_store.dna.twin import Twin
from twin_store.evidence import Question
from twin_store.messages import Subject
from twin_store.messages.decisions import QuestionKind

SKUS = ["a", "b"]
SUBJECTS: Mapping[QuestionKind, dict[str, Any]] = {
    "purchase": {"candidates": SKUS},
    "promotion_response": {"candidates": SKUS},
    "basket_completion": {"candidates": SKUS, "partial_basket": SKUS},
    "trip_choice": {"baskets": [SKUS, SKUS]},
    "voucher_redemption": {"voucher_skus": SKUS, "campaign_id": "a"},
}
AS_OF = 1_500_000_000
_log = logging.getLogger(__name__)


def rehearse(decider: LanguageDecider) -> None:
    """Prepare a question of each kind about nobody, and ask none: half a minute where nothing has been compiled yet.

    Hold the products' lock. What fails is logged: it will fail for a customer too, who is then answered otherwise.
    """
    for kind, subject in SUBJECTS.items():
        question = Question(kind, AS_OF, Subject.model_validate(subject))
        try:
            decider.prepare(DecisionInput(question, Twin()))
        except Exception as error:
            _log.info("a %s question cannot be prepared: %s", kind, error)

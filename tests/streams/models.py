"""Model versions without a fit: logistic regressions with weights chosen by hand, through the real registry."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from streams.settings import Settings
from trainer.calibration import Curve, Temperature
from trainer.certainty import BINS, Certainty
from trainer.fitted import DECIDER, FLOOR, Fitted
from trainer.heads import ONE_IS_TRUE, Head
from trainer.logistic import Logistic
from trainer.registry import Manifest, Registry
from twin_store.affinity import Affinity
from twin_store.evidence import EVIDENCE_NAMES
from twin_store.messages.decisions import QuestionKind

# As after thirty answers about customers that are little known and three hundred about others, of each sort.
CERTAINTY = Certainty(tuple((np.arange(1, BINS) / BINS).tolist()), ((30.0,) * BINS, (300.0,) * BINS))
TELLING = ("item_share", "item_days", "known_share", "voucher_days", "trips")


def publish_model(
    settings: Settings, bias: float = 0.0, without: tuple[str, ...] = (), line: str = DECIDER
) -> Manifest:
    """A version that answers all kinds that have evidence but `without`: the more she bought, the likelier."""
    kinds = [kind for kind in EVIDENCE_NAMES if kind not in without]
    fitted = Fitted({(kind, FLOOR): _head(kind, bias) for kind in kinds}, Affinity.empty())
    until = datetime(2017, 1, 1, tzinfo=UTC).isoformat()
    return Registry(settings.models).publish(line, until, until, fitted.to_files(), {}, {})


def _head(kind: QuestionKind, bias: float) -> Head:
    names = EVIDENCE_NAMES[kind]
    weights = [0.3 if name in TELLING else 0.0 for name in names]
    coefficients = np.array([*weights, *(0.0 for _ in names), bias])
    logistic = Logistic(np.zeros(len(names)), np.ones(len(names)), coefficients)
    calibration = Temperature(1.0) if kind in ONE_IS_TRUE else Curve(slope=1.0, offset=0.0)
    return Head(kind, logistic, None, 0.0, calibration, calibration, CERTAINTY)

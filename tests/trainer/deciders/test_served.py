"""What travels with an adapter: its calibration and its buckets."""

import json
import math

import pytest

from trainer.calibration import Curve, Temperature
from trainer.deciders.language.served import (
    BUCKETS,
    CALIBRATION,
    ServedAdapter,
    calibrated,
    calibration_from_json,
    calibration_to_json,
)
from twin_store.messages.decisions import QuestionKind
from twin_store.prompts import Buckets

FITTED: dict[QuestionKind, Curve | Temperature] = {
    "purchase": Curve(0.5, -1.0, (-2.0, 0.0, 2.0), (-1.5, 0.0, 1.0)),
    "trip_choice": Temperature(2.0),
}


def test_a_calibration_comes_back_from_its_file() -> None:
    assert calibration_from_json(calibration_to_json(FITTED)) == FITTED


def test_what_was_fitted_is_applied_and_what_was_not_is_left() -> None:
    line: dict[QuestionKind, Curve | Temperature] = {"purchase": Curve(1.0, -1.0), "survey": Temperature(2.0)}
    assert calibrated(line, "purchase", [0.5]) == pytest.approx([1 / (1 + math.e)])
    assert calibrated(line, "survey", [0.2, 0.8]) == pytest.approx([0.04 / 0.68, 0.64 / 0.68])
    assert calibrated(line, "trip_choice", [0.2, 0.8]) == [0.2, 0.8]


def test_the_surest_answers_can_be_calibrated_too() -> None:
    for said in ([0.0, 1.0], [1.0, 0.0]):
        assert sum(calibrated({"survey": Temperature(0.5)}, "survey", said)) == pytest.approx(1.0)
        low, high = sorted(calibrated({"purchase": Curve(1.0, 0.0)}, "purchase", said))
        assert 0 < low < 0.01
        assert 0.99 < high < 1


def test_an_adapter_is_made_of_its_files() -> None:
    buckets = Buckets({"item": {"item_days": (1.0, 7.0)}})
    files = {CALIBRATION: calibration_to_json(FITTED), BUCKETS: buckets.to_json().encode(), "more": b""}
    made = ServedAdapter.of_files("regulars", "vllm/regulars/v1", "v1", files)
    assert made == ServedAdapter("regulars", "vllm/regulars/v1", "v1", FITTED, buckets)
    assert made.label == "vllm/regulars/v1@v1"
    assert ServedAdapter.of_files("s", "n", "v", {}) == ServedAdapter("s", "n", "v")


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"format": 2, "kinds": {}}',
        json.dumps({"format": 1, "kinds": {"poem": {"curve": FITTED["purchase"].to_json()}}}).encode(),
        json.dumps({"format": 1, "kinds": {"purchase": {"temperature": {"factor": 1.0}}}}).encode(),
        json.dumps({"format": 1, "kinds": {"purchase": {"curve": {"slope": 1.0}}}}).encode(),
    ],
)
def test_what_is_no_calibration_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"calibration\.json"):
        calibration_from_json(content)

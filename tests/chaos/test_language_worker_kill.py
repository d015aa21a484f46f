"""Workers with a language model in flight are killed, come and go: each query is answered once, by whomever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.settings import Settings
from tests.chaos.members import Member
from tests.chaos.test_worker_kill import come_and_go, kill_again_and_again, with_twins
from tests.streams.queries import predictions

pytestmark = [pytest.mark.broker, pytest.mark.timeout(400)]
MODULE = "tests.chaos.scripted_worker"


@pytest.fixture
def folded(settings: Settings) -> Settings:
    """Room for few prompts: queries wait in Kafka, in line, and at the model."""
    return with_twins(settings).model_copy(
        update={"worker_in_flight_max": 12, "worker_batch_max": 20, "worker_busy_ms": 5_000}
    )


@pytest.fixture
def members(folded: Settings) -> Iterator[dict[str, Member]]:
    found = {
        "worker": Member(folded, "worker", module=MODULE),
        "other worker": Member(folded, "worker", "1", module=MODULE),
        "settler": Member(folded, "settler"),
    }
    yield found
    for member in found.values():
        member.kill()


def test_kills_with_answers_in_flight_lose_and_double_none(
    folded: Settings, members: dict[str, Member]
) -> None:
    kill_again_and_again(folded, members, 3)
    assert {prediction.decider for prediction in predictions(folded)} == {"vllm", "evidence"}


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_twenty_kills_with_answers_in_flight(folded: Settings, members: dict[str, Member]) -> None:
    kill_again_and_again(folded, members, 20)


def test_partitions_move_with_answers_in_flight(folded: Settings, members: dict[str, Member]) -> None:
    """What is at the model of a partition that goes is taken back, and answered by who gets it."""
    come_and_go(folded, members)

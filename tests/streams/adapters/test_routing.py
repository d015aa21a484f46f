"""Who answers: the same customers always, in about the share that was asked for, and until nobody has it any more."""

from __future__ import annotations

import pytest

from streams.adapters.routing import Routing, Trial
from trainer.deciders.language.served import ServedAdapter

CUSTOMERS = [f"c{number}" for number in range(4_000)]
OLD, NEW = (ServedAdapter("families", f"vllm/families/{version}", version) for version in ("1", "2"))


def drawn(routing: Routing) -> set[str]:
    found = set()
    for customer in CUSTOMERS:
        served = routing("families", customer)
        assert served is not None
        if served.version == "2":
            found.add(customer)
    return found


def test_without_a_release_the_base_answers() -> None:
    routing = Routing()
    assert routing("families", "ada") is None
    assert routing.challenger("families", "ada") is None
    assert not routing.is_shadowed("families", "q")


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
def test_a_challenger_answers_its_share_of_the_customers_always_the_same(share: float) -> None:
    routing = Routing()
    routing.post(OLD, Trial(NEW, "ab", share, "salt"))
    found = drawn(routing)
    assert len(found) / len(CUSTOMERS) == pytest.approx(share, abs=0.025)
    routing.post(OLD, Trial(NEW, "ab", share, "salt"))
    assert drawn(routing) == found
    assert not any(routing.is_shadowed("families", customer) for customer in CUSTOMERS)


def test_a_greater_share_adds_customers_and_another_trial_draws_others() -> None:
    routing = Routing()
    routing.post(OLD, Trial(NEW, "ab", 0.1, "salt"))
    few = drawn(routing)
    routing.post(OLD, Trial(NEW, "ab", 0.2, "salt"))
    assert few < drawn(routing)
    routing.post(OLD, Trial(NEW, "ab", 0.1, "another"))
    assert len(few & drawn(routing)) < len(few) / 3


def test_a_shadow_answers_nobody() -> None:
    routing = Routing()
    routing.post(OLD, Trial(NEW, "shadow", 0.5, "salt"))
    assert drawn(routing) == set()
    assert routing.challenger("families", "ada") == NEW
    shadowed = [routing.is_shadowed("families", customer) for customer in CUSTOMERS]
    assert sum(shadowed) / len(CUSTOMERS) == pytest.approx(0.5, abs=0.025)


def test_one_that_was_replaced_is_asked_until_its_questions_are_over() -> None:
    routing = Routing()
    routing.post(OLD, None)
    first, second = routing("families", "ada"), routing("families", "bo")
    routing.post(NEW, None)
    assert routing.is_asked(OLD.name)
    del first
    assert routing.is_asked(OLD.name)
    del second
    assert not routing.is_asked(OLD.name)
    assert routing("families", "ada") == NEW


def test_a_segment_whose_adapter_is_still_to_come_is_not_the_bases() -> None:
    routing = Routing()
    routing.expect(OLD)
    assert routing("families", "ada") == OLD
    assert routing.take_wanted() == ["families"]
    assert routing.take_wanted() == []
    routing.post(NEW, None)
    routing.expect(OLD)
    assert routing("families", "ada") == NEW
    assert routing.take_wanted() == []
    routing.withdraw("families")
    assert routing("families", "ada") is None

"""Seeded simulation: whatever arrives in whatever order through whatever crashes, the state is the batch fold's."""

import random

import pytest

from tests.simulation.machine import Machine
from tests.simulation.world import Arrival, draw_world
from tests.twin_store.dna.histories import click_table, columns
from tests.twin_store.dna.oracle import Click
from twin_store.dna.twin import Twin, fold_clicks, fold_receipts


def batch_fold(happened: list[Arrival], customer: str) -> Twin:
    """The twin from the sorted events, each once, in one go."""
    theirs = [arrival.what for arrival in happened if arrival.customer == customer]
    events = [what for what in theirs if not isinstance(what, Click)]
    clicks = [what for what in theirs if isinstance(what, Click)]
    twin = fold_receipts(Twin(), *columns(events))[0] if events else Twin()
    return fold_clicks(twin, click_table(clicks))[0] if clicks else twin


def run_seed(seed: int) -> None:
    rng = random.Random(seed)
    happened, log = draw_world(rng)
    machine = Machine(log, rng)
    machine.run()
    for customer in {arrival.customer for arrival in happened}:
        live = machine.twins.get(customer).twin
        assert live.content_hash() == batch_fold(happened, customer).content_hash(), (
            f"seed {seed}: {customer} diverges; again with: pytest tests/simulation --simulation-seed {seed}"
        )


def test_a_thousand_seeds(request: pytest.FixtureRequest) -> None:
    one = request.config.getoption("--simulation-seed")
    for seed in range(1_000) if one is None else [one]:
        run_seed(seed)


@pytest.mark.long
def test_ten_thousand_seeds() -> None:
    for seed in range(1_000, 11_000):
        run_seed(seed)

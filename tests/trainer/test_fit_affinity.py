"""What the fitted tables tell of products, against the same numbers counted by hand."""

import math

import numpy as np
import pytest

from tests.retail import sale, second, twin_of
from tests.twin_store.evidence.test_items import CATALOGUE, reader
from trainer.fit_affinity import fit_affinity
from trainer.fit_usage import CLOCK_PRIOR, SIZE_PRIOR, TRIAL_PRIOR
from trainer.purchases import Purchases
from twin_store.affinity import Affinity
from twin_store.catalogue import Catalogue
from twin_store.dna.twin import Twin
from twin_store.evidence import Question, named
from twin_store.messages.codec import SECONDS_PER_DAY
from twin_store.messages.decisions import Environment, Subject
from twin_store.symbols import key_of

NOON = second(0) + SECONDS_PER_DAY // 2
# Twenty days: milk at noon in s1 for three customers by turns; every other day bread and cheese too for the first of
# them, in the evening in s2.
BASKETS = [(day, day % 3 + 1, 0, "s1", ("milk",)) for day in range(20)] + [
    (day, 1, 8 * 3600, "s2", ("milk", "bread", "cheese")) for day in range(0, 20, 2)
]
LINES = [
    (NOON + day * SECONDS_PER_DAY + late, customer, number, store, sku)
    for number, (day, customer, late, store, skus) in enumerate(sorted(BASKETS))
    for sku in skus
]


@pytest.fixture(scope="module")
def affinity() -> Affinity:
    seconds = np.array([line[0] for line in LINES])
    skus = np.array([key_of(line[4]) for line in LINES])
    catalogue = Catalogue.from_frame(CATALOGUE)
    rows, tables = catalogue.rows_of(skus), catalogue.tables()
    return fit_affinity(
        Purchases(
            customers=np.array([line[1] for line in LINES]),
            baskets=np.array([line[2] for line in LINES]),
            days=seconds // SECONDS_PER_DAY,
            seconds=seconds,
            skus=skus,
            types=tables.item_type[rows],
            sections=tables.section[rows],
            stores=np.array([key_of(line[3]) for line in LINES]),
        )
    )


def ask(
    affinity: Affinity, sku: str, store: str = "s1", twin: Twin | None = None, late: int = 0
) -> dict[str, float]:
    subject, environment = Subject(candidates=[sku]), Environment(store_id=store)
    question = Question("purchase", NOON + 30 * SECONDS_PER_DAY + late, subject, environment)
    return named("purchase", reader(affinity=affinity).read(question, twin or Twin())[0])


def lift(part: int, whole: int, usual: float) -> float:
    return math.log((part + CLOCK_PRIOR * usual) / (whole + CLOCK_PRIOR) / usual)


def test_when_a_product_is_bought_is_held_against_when_anything_is(affinity: Affinity) -> None:
    noon, evening = 20 / 50, 30 / 50
    assert ask(affinity, "milk")["hour_lift"] == pytest.approx(lift(20, 30, noon))
    assert ask(affinity, "milk", late=8 * 3600)["hour_lift"] == pytest.approx(lift(10, 30, evening))
    assert ask(affinity, "bread")["type_hour_lift"] == pytest.approx(lift(0, 10, noon))
    assert ask(affinity, "bread", late=8 * 3600)["hour_lift"] > 0 > ask(affinity, "bread")["hour_lift"]


def test_the_weekday_is_that_of_the_question(affinity: Affinity) -> None:
    asked_on = (NOON // SECONDS_PER_DAY + 30) % 7
    on_it = [line for line in LINES if line[0] // SECONDS_PER_DAY % 7 == asked_on]
    milk = sum(line[4] == "milk" for line in on_it)
    assert ask(affinity, "milk")["weekday_lift"] == pytest.approx(lift(milk, 30, len(on_it) / 50))


def test_sizes_first_purchases_reach_and_shares_are_counted(affinity: Affinity) -> None:
    milk, bread = ask(affinity, "milk"), ask(affinity, "bread")
    mean = 30 * math.log(3) / 50
    assert bread["product_lines"] == pytest.approx((10 * math.log(3) + SIZE_PRIOR * mean) / (10 + SIZE_PRIOR))
    assert milk["product_lines"] < bread["product_lines"]
    assert milk["trial_share"] == pytest.approx((3 + TRIAL_PRIOR / 2) / (30 + TRIAL_PRIOR))
    assert (milk["product_reach"], milk["type_reach"]) == (1, 1)
    assert milk["type_of_section"] == pytest.approx(30.5 / 41)
    assert milk["product_of_type"] == pytest.approx(30.5 / 31)
    assert bread["type_baskets"] == pytest.approx(10 / 30)


def test_a_store_is_known_by_what_it_sells(affinity: Affinity) -> None:
    assert ask(affinity, "bread", "s2")["store_lift"] > 0 > ask(affinity, "bread", "s1")["store_lift"]
    assert ask(affinity, "milk", "s1")["store_type_lift"] == pytest.approx(
        math.log((20 + 5) / (20 * 30 / 50 + 5))
    )
    assert "store_lift" not in ask(affinity, "milk", "elsewhere")
    assert "store_lift" not in ask(affinity, "soap", "s1")


def test_tables_come_back_from_their_bytes(affinity: Affinity) -> None:
    again = Affinity.from_bytes(affinity.to_bytes())
    twin = twin_of([sale(1, ["milk", "bread"]), sale(5, ["milk"])])
    assert ask(again, "milk", "s2", twin) == ask(affinity, "milk", "s2", twin)


def test_a_basket_of_what_few_know_is_hers_who_knows_it(affinity: Affinity) -> None:
    subject = Subject(baskets=[["bread", "cheese"], ["milk"]])
    question = Question("trip_choice", NOON + 30 * SECONDS_PER_DAY, subject)
    knows = twin_of([sale(day, ["bread", "cheese"]) for day in range(1, 9)])
    not_yet = twin_of([sale(day, ["milk"]) for day in range(1, 9)])
    hers, another = (
        named("trip_choice", reader(affinity=affinity).read(question, twin)[0]) for twin in (knows, not_yet)
    )
    trial = (1 + TRIAL_PRIOR / 2) / (10 + TRIAL_PRIOR)
    assert hers["known_lift"] == pytest.approx(math.log((1 - trial) / (1 / 3)))
    assert another["known_lift"] == pytest.approx(math.log(trial / (2 / 3)))
    assert hers["known_lift_total"] == pytest.approx(2 * hers["known_lift"])
    assert hers["type_share_lift"] > 0 > another["type_share_lift"]

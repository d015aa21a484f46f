"""Ids that became a customer: handed over once, forgotten together, and the same as the lake gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.settings import Settings
from streams.topics import (
    CLICKSTREAM,
    CUSTOMERS,
    DEAD_LETTERS,
    ERASURE,
    LATE,
    PROFILES,
    TRANSACTIONS,
    TRANSFERS,
)
from tests.retail import at
from tests.streams.updater.deployment import Deployment
from tests.streams.updater.messages import customer, erasure, sale, view
from twin_store.messages import Transfer


@pytest.fixture
def shop(offline_settings: Settings) -> Deployment:
    return Deployment(offline_settings.model_copy(update={"partitions": 3}))


def look(shop: Deployment, *days: float, visitor: str = "visitor") -> None:
    for day in days:
        shop.publish(CLICKSTREAM, visitor, view(f"{visitor}-{day}", day, visitor))


def claim(shop: Deployment, name: str, day: float, *anonymous: str) -> None:
    shop.publish(CUSTOMERS, name, customer(name, day, *anonymous))


def views(shop: Deployment) -> dict[str, int]:
    return {name: p["dna"]["funnel"]["view"] for name, p in shop.newest(PROFILES).items()}


def agrees_with_the_lake(shop: Deployment, folder: Path) -> bool:
    batch = {name: twin.content_hash() for name, twin in shop.recomputed(folder).items()}
    assert shop.hashes() == batch
    return True


def test_a_visitor_is_handed_over_and_what_comes_later_too(shop: Deployment, tmp_path: Path) -> None:
    look(shop, 1, 2, 3)
    shop.publish(TRANSACTIONS, "anna", sale(2, ["milk"], "anna"))
    shop.drain()
    assert views(shop) == {"visitor": 3, "anna": 0}
    claim(shop, "anna", 4, "visitor", "tablet")
    shop.drain()
    assert views(shop) == {"anna": 3}
    look(shop, 5, 6)
    look(shop, 5, visitor="tablet")
    shop.drain()
    assert views(shop) == {"anna": 6}
    assert shop.newest(PROFILES)["anna"]["events_folded"] == 7
    assert agrees_with_the_lake(shop, tmp_path)


def test_what_is_a_duplicate_or_late_is_judged_by_the_visitors_own_history(
    shop: Deployment, tmp_path: Path
) -> None:
    look(shop, 1, 40)
    shop.publish(TRANSACTIONS, "anna", sale(90, ["milk"], "anna"))
    shop.publish(CLICKSTREAM, "anna", view("anna", 90, customer_id="anna"))
    claim(shop, "anna", 41, "visitor")
    shop.drain()
    look(shop, 40, 20, 41)
    shop.publish(CLICKSTREAM, "visitor", view("again", 25))
    shop.drain()
    assert views(shop) == {"anna": 4}, "1, 40, 41 and her own"
    assert len(shop.records(LATE)) == 2
    assert agrees_with_the_lake(shop, tmp_path)


def test_receipts_of_a_household_card_move_with_it(shop: Deployment, tmp_path: Path) -> None:
    for day in range(5):
        shop.publish(TRANSACTIONS, "old card", sale(day, ["milk"], "old card"))
    shop.publish(TRANSACTIONS, "anna", sale(3, ["bread"], "anna"))
    claim(shop, "anna", 5, "old card")
    shop.drain()
    shop.publish(TRANSACTIONS, "old card", sale(6, ["tea"], "old card", "s9"))
    shop.drain()
    profile = shop.newest(PROFILES)["anna"]
    assert profile["dna"]["activity"]["receipts"] == 7
    assert profile["dna"]["stores"] == {"s1": 6, "s9": 1}
    assert list(shop.hashes()) == ["anna"]
    assert agrees_with_the_lake(shop, tmp_path)


def test_a_visitors_own_record_is_no_profile_any_more(shop: Deployment, tmp_path: Path) -> None:
    claim(shop, "visitor", 1)
    shop.drain()
    claim(shop, "anna", 2, "visitor")
    shop.drain()
    claim(shop, "visitor", 3)
    shop.drain()
    assert list(shop.hashes()) == ["anna"]
    assert agrees_with_the_lake(shop, tmp_path)


def test_of_two_who_claim_a_visitor_the_first_has_it(shop: Deployment, tmp_path: Path) -> None:
    look(shop, 1)
    for name in ("eve", "anna"):
        claim(shop, name, 2, "visitor")
        shop.drain()
    look(shop, 3)
    shop.drain()
    assert views(shop) == {"eve": 2, "anna": 0}
    assert agrees_with_the_lake(shop, tmp_path)


def test_nobody_becomes_herself(shop: Deployment, tmp_path: Path) -> None:
    shop.publish(TRANSACTIONS, "anna", sale(1, ["milk"], "anna"))
    claim(shop, "anna", 2, "anna")
    shop.drain()
    assert shop.records(TRANSFERS) == []
    assert shop.newest(PROFILES)["anna"]["events_folded"] == 1
    assert agrees_with_the_lake(shop, tmp_path)


def test_two_who_claim_each_other_do_not_go_round_in_circles(shop: Deployment) -> None:
    for name in ("anna", "berta", "carla"):
        shop.publish(TRANSACTIONS, name, sale(1, ["milk"], name))
    for name, other in (("anna", "berta"), ("berta", "carla"), ("carla", "anna")):
        claim(shop, name, 2, other)
    shop.drain()
    assert sum(p["dna"]["activity"]["receipts"] for p in shop.newest(PROFILES).values()) == 3
    shop.publish(TRANSACTIONS, "anna", sale(3, ["milk"], "anna"))
    shop.drain()
    assert sum(p["dna"]["activity"]["receipts"] for p in shop.newest(PROFILES).values()) == 4


def test_a_card_that_became_another_takes_its_visitors_along(shop: Deployment, tmp_path: Path) -> None:
    look(shop, 1)
    shop.publish(TRANSACTIONS, "card", sale(1, ["milk"], "card"))
    claim(shop, "anna", 2, "card")
    shop.drain()
    claim(shop, "card", 3, "visitor")
    shop.drain()
    look(shop, 4)
    shop.drain()
    assert views(shop) == {"anna": 2}
    assert shop.newest(PROFILES)["anna"]["dna"]["activity"]["receipts"] == 1
    assert agrees_with_the_lake(shop, tmp_path)


def test_who_is_forgotten_takes_her_visitors_along_and_none_comes_back(
    shop: Deployment, tmp_path: Path
) -> None:
    def everything() -> None:
        look(shop, 1, 2)
        shop.publish(TRANSACTIONS, "anna", sale(2, ["milk"], "anna"))
        claim(shop, "anna", 3, "visitor")

    everything()
    shop.drain()
    shop.publish(ERASURE, "anna", erasure("anna", 10))
    shop.drain()
    assert shop.hashes() == {}
    everything()
    shop.drain()
    assert shop.hashes() == {}
    assert {(r.key, r.value is not None) for r in shop.records(ERASURE)} == {
        (b"anna", True),
        (b"visitor", True),
    }
    assert agrees_with_the_lake(shop, tmp_path / "1")
    look(shop, 11)
    shop.drain()
    assert views(shop) == {"visitor": 1}, "the link is forgotten too"
    claim(shop, "anna", 12, "visitor")
    shop.drain()
    look(shop, 13)
    shop.drain()
    assert views(shop) == {"anna": 2}, "a newer record links them anew"
    assert agrees_with_the_lake(shop, tmp_path / "2")


def test_a_link_from_after_an_erasure_outlives_it(shop: Deployment, tmp_path: Path) -> None:
    look(shop, 1, 6)
    claim(shop, "anna", 7, "visitor")
    shop.drain()
    shop.publish(ERASURE, "anna", erasure("anna", 5))
    shop.drain()
    look(shop, 2, 8)
    shop.drain()
    assert views(shop) == {"anna": 2}, "6 and 8"
    assert agrees_with_the_lake(shop, tmp_path)


def test_what_a_visitor_brought_since_the_erasure_was_asked_is_the_visitors_again(
    shop: Deployment, tmp_path: Path
) -> None:
    look(shop, 1, 6, visitor="tablet")
    look(shop, 1, 7)
    claim(shop, "anna", 3, "card")
    shop.drain()
    claim(shop, "card", 3, "visitor", "tablet")
    shop.drain()
    assert views(shop) == {"anna": 4}
    shop.publish(ERASURE, "anna", erasure("anna", 5))
    shop.drain()
    assert views(shop) == {"visitor": 1, "tablet": 1}
    assert agrees_with_the_lake(shop, tmp_path)


def test_a_record_from_before_the_erasure_makes_its_ids_forgotten(shop: Deployment, tmp_path: Path) -> None:
    look(shop, 1)
    shop.publish(ERASURE, "anna", erasure("anna", 5))
    shop.drain()
    assert views(shop) == {"visitor": 1}
    claim(shop, "anna", 3, "visitor")
    shop.drain()
    assert views(shop) == {}
    look(shop, 6)
    shop.drain()
    assert views(shop) == {"visitor": 1}
    assert agrees_with_the_lake(shop, tmp_path)


@pytest.mark.parametrize("day", [3, 7])
def test_a_claim_and_an_erasure_in_one_batch_come_to_the_same_as_one_after_the_other(
    offline_settings: Settings, tmp_path: Path, day: int
) -> None:
    hashes = []
    for at_once in (True, False):
        shop = Deployment(offline_settings)
        look(shop, 1, 6)
        shop.drain()
        claim(shop, "anna", day, "visitor")
        if not at_once:
            shop.drain()
        shop.publish(ERASURE, "anna", erasure("anna", 5))
        shop.drain()
        look(shop, 8)
        shop.drain()
        assert agrees_with_the_lake(shop, tmp_path / str(at_once))
        hashes.append(shop.hashes())
    assert hashes[0] == hashes[1]
    assert list(hashes[0]) == (["visitor"] if day < 5 else ["anna"])


def test_a_partial_twin_on_its_way_while_its_customer_is_forgotten_brings_only_what_came_after(
    shop: Deployment,
) -> None:
    look(shop, 1, 6)
    claim(shop, "anna", 7, "visitor")
    for _ in range(2):  # the record; the claim: now the partial twin is on its way
        shop.transact(shop.batch(100))
    assert views(shop) == {"anna": 0}
    shop.publish(ERASURE, "anna", erasure("anna", 5))
    batch = shop.batch(100)
    for source in [source for source in batch.records if source[0] is TRANSFERS]:
        del batch.records[source]
    shop.transact(batch)
    shop.drain()
    assert views(shop) == {"anna": 1}


@pytest.mark.parametrize("partial", [None, "", "AAAA", "not base64", "AQ==" * 40])
def test_a_partial_twin_that_cannot_be_read_is_a_dead_letter(shop: Deployment, partial: str | None) -> None:
    bad = Transfer(kind="partial", from_id="v", to_id="anna", occurred_at=at(1), partial=partial)
    shop.publish(TRANSFERS, "anna", bad)
    shop.publish(TRANSACTIONS, "anna", sale(1, ["milk"], "anna"))
    shop.drain()
    (letter,) = shop.records(DEAD_LETTERS)
    assert b'"place":"partial"' in (letter.value or b"")
    assert shop.newest(PROFILES)["anna"]["events_folded"] == 1

"""The book of open answers: what a batch changes, what an abort takes back, what a restart finds."""

from __future__ import annotations

import random

from streams.settler.book import SKUS, Book
from twin_store.outcomes import Unsettled


def answer(query_id: str, customer_id: str = "c1", skus: int = 1, until: int = 100) -> Unsettled:
    return Unsettled(
        query_id=query_id,
        customer_id=customer_id,
        kind="voucher_redemption",
        as_of=0,
        until=until,
        by_next_trip=False,
        skus=bytes(range(8)) * skus,
        sizes=[skus],
        probabilities=[0.25],
        decider="evidence",
        decider_version="1",
    )


def look(book: Book, limit: int = 100) -> list[str]:
    return sorted(found.query_id for found in book.due(limit))


class Changelog(dict[bytes, bytes]):
    """The newest record of each key, as a compacted topic has it."""

    def commit(self, book: Book) -> None:
        for key, value in book.changes():
            if value is None:
                self.pop(key, None)
            else:
                self[key] = value
        book.committed()


def test_an_answer_is_looked_at_at_once_when_touched_and_when_its_time_comes() -> None:
    book = Book()
    book.add(answer("q1"))
    book.add(answer("q2", customer_id="c2"))
    assert look(book) == ["q1", "q2"]
    book.look_at("q1", 50)
    book.look_at("q2", 60)
    assert not book.is_due()
    book.touch("c2")
    assert look(book) == ["q2"]
    book.look_at("q2", 60)
    book.time.reached = 55
    assert look(book) == ["q1"]
    book.time.reached = 60
    assert look(book) == ["q2"]
    assert not book.is_due()


def test_an_earlier_look_replaces_a_later_one() -> None:
    book = Book()
    book.add(answer("q1"))
    assert look(book) == ["q1"]
    book.look_at("q1", 90)
    book.touch("c1")
    assert look(book) == ["q1"]
    book.look_at("q1", 40)
    book.time.reached = 40
    assert look(book) == ["q1"]
    book.time.reached = 90
    assert look(book) == []


def test_no_more_than_the_limit_is_looked_at_in_one_batch() -> None:
    book = Book()
    for number in range(10):
        book.add(answer(f"q{number}"))
    assert len(look(book, limit=4)) == 4
    assert len(look(book, limit=100)) == 6


def test_an_aborted_batch_never_happened() -> None:
    changelog = Changelog()
    book = Book()
    book.add(answer("old"))
    look(book)
    changelog.commit(book)
    book.add(answer("new"))
    book.add(answer("gone"))
    look(book)
    book.remove("old")
    book.remove("gone")
    book.aborted()
    assert len(book) == 1
    assert book.changes() == []
    assert look(book) == ["old"], "looked at in the batch that never happened"


def test_a_long_list_is_kept_once_and_goes_with_its_last_answer() -> None:
    changelog = Changelog()
    book = Book()
    for customer in ("c1", "c2", "c3"):
        book.add(answer(f"of-{customer}", customer, skus=5_000))
    changelog.commit(book)
    assert sum(map(len, changelog.values())) < 2 * 40_000
    book = Book(changelog.items())
    assert sorted(map(len, (found.skus for found in book.due(10)))) == [40_000] * 3
    for customer in ("c1", "c2"):
        book.remove(f"of-{customer}")
    changelog.commit(book)
    assert any(key.startswith(SKUS) for key in changelog)
    book.remove("of-c3")
    changelog.commit(book)
    assert not any(key.startswith(SKUS) for key in changelog)
    book.add(answer("of-c4", "c4", skus=5_000))
    changelog.commit(book)
    assert len(next(Book(changelog.items()).due(10)).skus) == 40_000


def test_a_restart_at_any_point_finds_what_was_committed() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        changelog, book = Changelog(), Book()
        truth: set[str] = set()
        serial = 0
        for _ in range(20):
            now = set(truth)
            for _ in range(rng.randint(0, 5)):
                serial += 1
                book.add(answer(f"q{serial}", f"c{rng.randint(0, 4)}", skus=rng.choice([1, 200, 300])))
                now.add(f"q{serial}")
            for found in book.due(rng.randint(0, 6)):
                if rng.random() < 0.5:
                    book.remove(found.query_id)
                    now.discard(found.query_id)
                else:
                    book.look_at(found.query_id, book.time.reached + rng.randint(1, 50))
            book.time.reached += rng.randint(0, 5)
            if rng.random() < 0.3:
                book.aborted()
            else:
                changelog.commit(book)
                truth = now
            if rng.random() < 0.3:
                book = Book(changelog.items())
        assert len(book) == len(truth), f"seed {seed}"
        assert set(look(Book(changelog.items()), 10_000)) == truth, f"seed {seed}"

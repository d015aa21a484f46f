"""The ring of answered ids: what a restart finds is what was committed."""

from __future__ import annotations

import random

from streams.worker.answered import BLOCK_IDS, BLOCKS, Answered


class Changelog(dict[bytes, bytes]):
    """The newest record of each key, as a compacted topic has it."""

    def commit(self, answered: Answered) -> None:
        self.update({key: value for key, value in answered.changes() if value is not None})
        answered.committed()


def test_an_id_is_known_from_the_batch_on_that_answers_it() -> None:
    answered = Answered()
    assert "q1" not in answered
    answered.add("q1")
    assert "q1" in answered
    answered.aborted()
    assert "q1" not in answered
    assert answered.changes() == []


def test_a_restart_at_any_point_finds_what_was_committed() -> None:
    for seed in range(100):
        rng = random.Random(seed)
        changelog, answered = Changelog(), Answered()
        committed: list[str] = []
        for _ in range(30):
            batch = [f"{seed}-{rng.random()}" for _ in range(rng.choice([0, 1, 3, 100, 2 * BLOCK_IDS + 7]))]
            for query_id in batch:
                answered.add(query_id)
            if rng.random() < 0.2:
                answered.aborted()
            else:
                changelog.commit(answered)
                committed += batch
            if rng.random() < 0.3:
                answered = Answered(changelog.items())
            assert len(answered) == len(committed), f"seed {seed}"
        assert all(query_id in answered for query_id in committed), f"seed {seed}"


def test_the_oldest_go_and_the_changelog_stays_small() -> None:
    changelog, answered = Changelog(), Answered()
    ids = [str(number) for number in range(3 * BLOCKS * BLOCK_IDS)]
    for start in range(0, len(ids), 1_000):
        for query_id in ids[start : start + 1_000]:
            answered.add(query_id)
        changelog.commit(answered)
    assert len(changelog) == BLOCKS
    for ring in (answered, Answered(changelog.items())):
        assert (BLOCKS - 1) * BLOCK_IDS <= len(ring) <= BLOCKS * BLOCK_IDS
        assert all(query_id in ring for query_id in ids[-(BLOCKS - 1) * BLOCK_IDS :])
        assert ids[0] not in ring

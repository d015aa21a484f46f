"""Releases are numbered, and written by one at a time."""

from __future__ import annotations

from typing import Literal

import pytest

from streams.adapters.desk import ReleaseDesk, ReleaseError
from streams.adapters.releases import read_releases
from streams.adapters.reports import Reporter
from streams.errors import UsageError
from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import ADAPTER_STATES, ADAPTERS
from twin_store.messages import AdapterVersion, Challenger

pytestmark = pytest.mark.broker
SEGMENT = "families"


@pytest.fixture
def shop(settings: Settings) -> Settings:
    apply_topics(settings, topics=(ADAPTERS, ADAPTER_STATES))
    return settings


def version(number: int) -> AdapterVersion:
    return AdapterVersion(
        decider="vllm",
        decider_version=str(number),
        name=f"vllm/{SEGMENT}/{number}",
        location=f"models/{number}",
        sha256=f"{number:064}",
    )


def challenger(number: int, mode: Literal["shadow", "ab"] = "ab") -> Challenger:
    return Challenger(**version(number).model_dump(), mode=mode, share=0.1)


def test_every_release_has_the_next_number_and_says_all_that_serves(shop: Settings) -> None:
    with ReleaseDesk(shop) as desk:
        desk.release(SEGMENT, version(1))
        desk.release(SEGMENT, version(2))
        desk.challenge(SEGMENT, challenger(3))
        desk.pin(SEGMENT, True)
        told = desk.of(SEGMENT)
    assert (told.number, told.champion, told.previous) == (4, version(2), version(1))
    assert (told.challenger, told.pinned) == (challenger(3), True)
    assert read_releases(shop).by_segment == {SEGMENT: told}
    with ReleaseDesk(shop) as desk:
        back = desk.roll_back(SEGMENT)
        assert (back.number, back.champion, back.previous, back.challenger) == (
            5,
            version(1),
            version(2),
            None,
        )
        assert desk.roll_back(SEGMENT).champion == version(2)


def test_what_is_so_already_is_not_released_again(shop: Settings) -> None:
    with ReleaseDesk(shop) as desk:
        first = desk.release(SEGMENT, version(1))
        assert desk.release(SEGMENT, version(1)) == first
        assert desk.pin(SEGMENT, False) == first


def test_a_writer_that_was_overtaken_writes_nothing(shop: Settings) -> None:
    """Its record would be the last of its key, and so the only one that compaction leaves."""
    with ReleaseDesk(shop) as late:
        late.release(SEGMENT, version(1))
        with ReleaseDesk(shop) as desk:
            desk.release(SEGMENT, version(2))
        with pytest.raises(ReleaseError, match="at the same time"):
            late.release(SEGMENT, version(3))
        assert late.of(SEGMENT).champion == version(1)
    assert read_releases(shop).by_segment[SEGMENT].champion == version(2)


def test_a_champion_that_all_refused_is_nothing_to_roll_back_to(shop: Settings) -> None:
    with ReleaseDesk(shop) as desk:
        desk.release(SEGMENT, version(1))
        desk.release(SEGMENT, version(2))
        workers = [Reporter(shop, f"worker-{number}") for number in range(2)]
        for worker in workers:
            worker.say(SEGMENT, 2, version(2), "refused", "champion", "canary", "it says other things")
            worker.flush()
        assert desk.release(SEGMENT, version(3)).previous == version(1)
        workers[0].say(SEGMENT, 3, version(3), "refused", "champion", "canary", "it says other things")
        workers[1].say(SEGMENT, 3, version(3), "loaded", "champion")
        for worker in workers:
            worker.flush()
        assert desk.release(SEGMENT, version(4)).previous == version(3)


def test_what_cannot_be_done_is_said(shop: Settings) -> None:
    with ReleaseDesk(shop) as desk:
        for act in (desk.roll_back, desk.end_trial, lambda segment: desk.pin(segment, True)):
            with pytest.raises(UsageError, match="'families' has no release; there are: none"):
                act(SEGMENT)
        with pytest.raises(UsageError, match="has no release"):
            desk.challenge(SEGMENT, challenger(1))
        desk.release(SEGMENT, version(1))
        with pytest.raises(UsageError, match="has no version before 1"):
            desk.roll_back(SEGMENT)
        with pytest.raises(UsageError, match="no version of families is on trial"):
            desk.end_trial(SEGMENT)
        with pytest.raises(UsageError, match="is the champion of families already"):
            desk.challenge(SEGMENT, challenger(1))

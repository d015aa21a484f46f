"""Releases reach a worker through the topic: loaded, swapped, refused, rolled back. The engine's model is scripted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import fsspec
import pytest

from streams.adapters.desk import ReleaseDesk
from streams.adapters.releases import read_releases
from streams.adapters.reports import read_states
from streams.adapters.service import AdapterService
from streams.errors import UsageError
from streams.kafka import Publisher
from streams.settings import Settings
from streams.topics import ADAPTERS
from tests.streams.adapters.conftest import Twins
from tests.streams.adapters.hosted import IN_MEMORY, Hosted
from tests.streams.adapters.released import version_in
from tests.streams.running import eventually
from tests.trainer.vllm.bad_adapters import BAD, spoilt

pytestmark = pytest.mark.broker
SEGMENT = "families"


def version_of(service: AdapterService, customer: str = "ada") -> str | None:
    served = service.routing(SEGMENT, customer)
    return None if served is None else served.version


def answers(service: AdapterService, hosted: Hosted, folder: Path) -> bool:
    """Whether a version is routed to, and the engine has it."""
    return version_of(service) == folder.name and f"vllm/{SEGMENT}/{folder.name}" in hosted.adapters()


def status_of(settings: Settings, version: str) -> dict[str, tuple[str, str | None]]:
    return {s.worker: (s.status, s.reason) for s in read_states(settings).get((SEGMENT, version), [])}


def is_refused(settings: Settings, version: str) -> bool:
    return status_of(settings, version) == {"worker-0": ("refused", "canary")}


def test_a_release_is_loaded_swapped_and_rolled_back(
    service: AdapterService, shop: Settings, hosted: Hosted, twins: Twins
) -> None:
    one, two = hosted.publish(SEGMENT, 0.9), hosted.publish(SEGMENT, 0.2)
    assert version_of(service) is None
    assert twins("release", one)["champion"] == one.name
    eventually(lambda: answers(service, hosted, one), "the first version")
    served = service.routing(SEGMENT, "ada")
    assert served is not None
    assert served.calibration["purchase"].to_json()["offset"] == 0.9
    assert hosted.ask(served.name) == pytest.approx(0.9)

    assert twins("release", two)["previous"] == one.name
    eventually(lambda: answers(service, hosted, two), "the second version")
    assert f"vllm/{SEGMENT}/{one.name}" in hosted.adapters(), "a question still has it"
    assert hosted.ask(served.name) == pytest.approx(0.9)
    del served
    eventually(lambda: hosted.adapters() == [f"vllm/{SEGMENT}/{two.name}"], "the first one to be retired")
    eventually(lambda: status_of(shop, one.name) == {"worker-0": ("retired", None)}, "the report of it")

    assert twins("rollback", SEGMENT)["champion"] == one.name
    eventually(lambda: answers(service, hosted, one), "the first version again")
    eventually(lambda: hosted.adapters() == [f"vllm/{SEGMENT}/{one.name}"], "the second one to be retired")
    (row,) = twins("list")
    assert (row["number"], row["champion"], row["previous"]) == (3, one.name, two.name)
    assert {(state["version"], state["status"]) for state in row["workers"]} == {
        (one.name, "loaded"),
        (two.name, "retired"),
    }


def test_a_segment_is_taken_out_of_service_and_put_back(
    service: AdapterService, shop: Settings, hosted: Hosted, twins: Twins
) -> None:
    one = hosted.publish(SEGMENT, 0.9)
    twins("release", one)
    eventually(lambda: answers(service, hosted, one), "the version")
    assert twins("withdraw", SEGMENT) == {"segment": SEGMENT, "champion": None}
    eventually(lambda: version_of(service) is None, "the base, which answers in its stead")
    eventually(lambda: hosted.adapters() == [], "the version to be out of the engine")
    assert twins("list") == []
    with pytest.raises(UsageError, match="has no release"):
        twins("withdraw", SEGMENT)
    assert (twins("release", one)["number"], twins("list")[0]["previous"]) == (1, None)
    eventually(lambda: answers(service, hosted, one), "the version again")


def test_a_release_for_another_decider_says_nothing_here(
    service: AdapterService, shop: Settings, hosted: Hosted
) -> None:
    """The base goes on answering: nobody here could ever load it."""
    folder = hosted.publish(SEGMENT, 0.9)
    with ReleaseDesk(shop) as desk:
        desk.release(SEGMENT, version_in(folder, folder).model_copy(update={"decider": "openai"}))
        desk.release("others", version_in(folder, folder))
    eventually(lambda: service.routing("others", "ada") is not None, "the release after it")
    assert version_of(service) is None


def test_every_bad_one_is_refused_with_its_reason_and_the_others_go_on(
    service: AdapterService, shop: Settings, hosted: Hosted, twins: Twins, tmp_path: Path
) -> None:
    good, other = hosted.publish(SEGMENT, 0.9), hosted.publish(SEGMENT, 0.2)
    twins("release", good)
    with ReleaseDesk(shop) as desk:
        for number, name in enumerate(BAD):
            desk.release(f"bad-{number}", version_in(spoilt(other, tmp_path, name), other))
    expected = {f"bad-{number}": reason.value for number, (_, reason) in enumerate(BAD.values())}

    def reasons() -> dict[str, str | None]:
        return {
            segment: state.reason
            for (segment, _), states in read_states(shop).items()
            for state in states
            if state.status == "refused"
        }

    eventually(lambda: len(reasons()) == len(BAD), "a reason for each")
    assert reasons() == expected
    assert version_of(service) == good.name
    assert hosted.adapters() == [f"vllm/{SEGMENT}/{good.name}"]


def test_one_that_does_not_say_what_its_trainer_heard_leaves_the_champion(
    start_service: Callable[[str], AdapterService], shop: Settings, hosted: Hosted, twins: Twins
) -> None:
    """Also in a worker that starts later, and also after a second one of the kind."""
    good = hosted.publish(SEGMENT, 0.9)
    twins("release", good)
    service = start_service("worker-0")
    eventually(lambda: answers(service, hosted, good), "the good one")
    for _ in range(2):
        bad = hosted.publish(SEGMENT, 0.3, says=0.7)
        twins("release", bad)
        eventually(partial(is_refused, shop, bad.name), "the refusal")
        assert answers(service, hosted, good)
    (row,) = twins("list")
    assert (row["champion"], row["previous"]) == (bad.name, good.name)
    service.close()
    hosted.start()
    later = start_service("worker-1")
    eventually(lambda: answers(later, hosted, good), "the good one again")
    assert status_of(shop, bad.name)["worker-1"] == ("refused", "canary")


def test_a_version_on_trial_answers_its_share_and_becomes_the_champion(
    service: AdapterService, hosted: Hosted, twins: Twins
) -> None:
    one, two = hosted.publish(SEGMENT, 0.9), hosted.publish(SEGMENT, 0.2)
    twins("release", one)
    twins("release", two, "--ab", 0.5)

    def answering() -> set[str | None]:
        return {version_of(service, f"c{number}") for number in range(50)}

    eventually(lambda: answering() == {one.name, two.name}, "both")
    twins("release", two, "--shadow", 1)
    eventually(lambda: service.routing.is_shadowed(SEGMENT, "q"), "the shadow")
    assert answering() == {one.name}
    twins("load", SEGMENT, two.name)
    eventually(lambda: answering() == {two.name} and len(hosted.adapters()) == 1, "the new champion")
    (row,) = twins("list")
    assert (row["challenger"], row["previous"]) == (None, one.name)


def test_pinned_ones_stay_in_memory(service: AdapterService, hosted: Hosted, twins: Twins) -> None:
    folders = [hosted.publish(f"s{number}", 0.9) for number in range(IN_MEMORY + 2)]
    names = [f"vllm/s{number}/{folder.name}" for number, folder in enumerate(folders)]
    twins("release", folders[0])
    twins("pin", "s0")
    for folder in folders[1:]:
        twins("release", folder)
    eventually(lambda: len(hosted.adapters()) == len(names) and service.is_settled(), "all of them")
    assert names[0] in hosted.in_memory()
    assert names[1] not in hosted.in_memory()
    twins("unpin", "s0")
    eventually(lambda: twins("list")[0]["number"] == 3 and service.is_settled(), "that it is not pinned")
    for name in names[1:]:
        hosted.ask(name)
    assert names[0] not in hosted.in_memory()


def test_a_model_that_began_anew_gets_them_all_again(
    service: AdapterService, hosted: Hosted, twins: Twins
) -> None:
    one = hosted.publish(SEGMENT, 0.9)
    twins("release", one)
    eventually(lambda: answers(service, hosted, one), "the version")
    hosted.thread, gone = None, hosted.thread
    two = hosted.publish("others", 0.2)
    twins("release", two)
    eventually(lambda: service.routing("others", "ada") is not None, "the release")
    assert gone is not None
    hosted.start()
    eventually(lambda: len(hosted.adapters()) == 2, "both")
    assert answers(service, hosted, one)


def test_a_segment_without_a_release_any_more_is_the_bases(
    service: AdapterService, shop: Settings, hosted: Hosted, twins: Twins
) -> None:
    one = hosted.publish(SEGMENT, 0.9)
    twins("release", one)
    eventually(lambda: answers(service, hosted, one), "the version")
    with Publisher(shop) as publisher:
        publisher.publish(ADAPTERS, SEGMENT.encode(), None)
    eventually(lambda: hosted.adapters() == [] and version_of(service) is None, "nothing to be left")


def test_what_cannot_be_read_says_nothing(
    service: AdapterService, shop: Settings, hosted: Hosted, twins: Twins
) -> None:
    one, two = hosted.publish(SEGMENT, 0.9), hosted.publish(SEGMENT, 0.2)
    twins("release", one)
    twins("release", two)
    stale = read_releases(shop).by_segment[SEGMENT].model_copy(update={"number": 1, "decider_version": "0"})
    with Publisher(shop) as publisher:
        publisher.publish(ADAPTERS, SEGMENT.encode(), b"{broken")
        publisher.publish(ADAPTERS, SEGMENT.encode(), stale.to_wire())
        publisher.publish(ADAPTERS, b"others", stale.model_copy(update={"number": 9}).to_wire())
    three = hosted.publish("last", 0.5001)
    twins("release", three)
    eventually(lambda: service.routing("last", "ada") is not None, "what came behind")
    assert (version_of(service), service.routing("others", "ada")) == (two.name, None)


def test_adapters_come_from_any_storage(service: AdapterService, hosted: Hosted, twins: Twins) -> None:
    folder = hosted.publish(SEGMENT, 0.9)
    storage = fsspec.filesystem("memory")
    storage.put(f"{folder}/", f"/models/{folder.name}/", recursive=True)
    assert twins("release", f"memory://models/{folder.name}")["champion"] == folder.name
    eventually(lambda: answers(service, hosted, folder), "the version")
    assert hosted.ask(f"vllm/{SEGMENT}/{folder.name}") == pytest.approx(0.9)


def test_a_thousand_segments(
    start_service: Callable[[str], AdapterService], shop: Settings, hosted: Hosted
) -> None:
    """All are on disk and few in memory; one that is asked for is there before the others."""
    folder = hosted.publish("seed", 0.9)
    with ReleaseDesk(shop) as desk:
        for number in range(1_000):
            segment = f"s{number:03}"
            copy = hosted.publish_copy(folder, segment, 0.55 + number % 400 / 1_000)
            desk.release(segment, version_in(copy, copy, segment))
    service = start_service("worker-0")
    late = service.routing("s999", "ada")
    assert late is not None
    eventually(service.is_settled, "all of them", timeout_s=150)
    assert len(hosted.adapters()) == 1_000
    assert hosted.adapters().index(late.name) < 999, "it came last, as if nobody had asked"
    assert len(hosted.in_memory()) == IN_MEMORY
    for number in range(0, 1_000, 37):
        served = service.routing(f"s{number:03}", "ada")
        assert served is not None
        assert hosted.ask(served.name) == pytest.approx(0.55 + number % 400 / 1_000)

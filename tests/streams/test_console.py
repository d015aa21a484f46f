"""The console answers over HTTP what the commands say, on this machine only."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from prometheus_client import generate_latest

from streams.broker import free_port
from streams.console import process
from streams.console.app import build
from streams.console.exposition import exposition
from streams.console.state import ConsoleState
from streams.errors import TwinsError
from streams.kafka import Publisher
from streams.overview import parse
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.topic_admin import apply_topics
from streams.topics import PROFILES
from tests.retail import sale, twin_of
from tests.streams.running import eventually, running
from twin_store.dna.profile import ProductNames, ProfileWriter
from twin_store.symbols import key_of


@contextmanager
def console(settings: Settings) -> Iterator[httpx.Client]:
    """A running console, and a client that speaks to it."""
    settings = settings.model_copy(update={"console_port": free_port()})
    with (
        running(lambda stop: process.run(settings, stop)),
        httpx.Client(base_url=f"http://127.0.0.1:{settings.console_port}", timeout=30) as client,
    ):
        eventually(lambda: _answers(client), "the console to answer")
        yield client


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").json() == {"ok": True}
    except httpx.HTTPError:
        return False


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    """A client of a console over a deployment with one customer."""
    apply_topics(settings)
    symbols = {key_of(text): text for text in ("milk", "store/s1")}
    twin = twin_of([sale(0, ["milk"], "c/1")])
    written = ProfileWriter("USD").write("c/1", twin, ProductNames.none(), symbols)
    with Publisher(settings) as publisher:
        publisher.publish(PROFILES, b"c/1", written[1])
    with console(settings) as found:
        yield found


@pytest.mark.broker
def test_a_twin_is_its_profile(client: httpx.Client) -> None:
    found = client.get("/api/twins/c%2F1")
    assert found.status_code == 200, found.text
    assert found.json()["dna"]["activity"]["receipts"] == 1
    assert client.get("/api/twins/nobody").status_code == 404


@pytest.mark.broker
def test_the_status_holds_what_runs_and_how_good_it_is(settings: Settings, client: httpx.Client) -> None:
    with Telemetry("updater", settings, port=0) as telemetry:
        telemetry.counter("lines", "x").inc(7)
        found = client.get("/api/status").json()
        assert found["parts"][0]["name"] == "updater"
        assert found["totals"]["lines"] == 7
        assert found["score"]["n"] == 0
        assert "twins_updater_lines_total 7\n" in client.get("/metrics").text
    assert client.get("/healthz").json() == {"ok": True}
    assert client.get("/readyz").status_code == 200
    assert "Shopping twins" in client.get("/").text


@pytest.mark.broker
def test_bad_questions_are_refused_with_a_reason(client: httpx.Client) -> None:
    found = client.post("/api/ask", json={"customer_id": "c/1"})
    assert (found.status_code, "--sku" in found.json()["detail"]) == (422, True)
    assert client.post("/api/ask", json={"customer_id": "c/1", "kind": "horoscope"}).status_code == 422


@pytest.mark.broker
def test_a_page_of_another_site_does_not_get_in(client: httpx.Client) -> None:
    assert client.get("/api/status", headers={"Host": "evil.example"}).status_code == 400


def test_without_a_broker_the_console_is_healthy_and_not_ready(offline_settings: Settings) -> None:
    with console(offline_settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:9"})) as client:
        assert client.get("/readyz").status_code == 503
        assert client.get("/api/status").json()["reachable"] is False


def test_the_exposition_reads_back(offline_settings: Settings) -> None:
    telemetry = Telemetry("worker", offline_settings)
    telemetry.counter("predictions", "x", ["kind"]).labels("purchase").inc(3)
    telemetry.histogram("latency_seconds", "x").observe(0.3)
    before = parse(generate_latest(telemetry.registry).decode())
    after = parse(exposition(before))
    assert after["twins_worker_predictions_total"] == 3
    assert "process_start_time_seconds" not in after.totals


def test_a_port_that_is_taken_is_named(offline_settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = offline_settings.model_copy(update={"console_port": taken.getsockname()[1]})
        with pytest.raises(TwinsError, match="TWINS_CONSOLE_PORT"):
            process.run(settings, threading.Event())


def test_a_console_whose_loop_hangs_is_not_healthy(offline_settings: Settings) -> None:
    telemetry = Telemetry("console", offline_settings, stalled_after_s=0.0)

    async def health() -> tuple[int, int]:
        transport = httpx.ASGITransport(build(offline_settings, state, telemetry))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            before = await client.get("/healthz")
            telemetry.beat()
            after = await client.get("/healthz")
        return before.status_code, after.status_code

    with contextlib.closing(ConsoleState(offline_settings)) as state:
        assert asyncio.run(health()) == (200, 503)
    assert telemetry.snapshot()['twins_console_requests_total{status="503"}'] == 1

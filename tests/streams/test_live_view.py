"""The view shows what there is, and says what is wrong."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from streams.live_score import Tally
from streams.live_view import Rates, line, screen
from streams.overview import LATENCIES, TOTALS, Overview, Part
from streams.supervisor import Child


def overview(at: float, lines: float, *, reachable: bool = True, lag: int | None = 3) -> Overview:
    latencies = {f"{name}_ms_{q}": None for name in LATENCIES for q in ("p50", "p99")}
    totals = dict.fromkeys(TOTALS, 0.0) | {"lines": lines}
    lags = {} if lag is None else {"updater": lag}
    part = Part("updater", 41, "http://127.0.0.1:1", "2024-01-01T00:00:00Z", "ready", lag)
    return Overview(at, reachable, [part], lags, totals, latencies | {"freshness_ms_p50": 12.4})


def shown(*arguments: object, **named: object) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(screen(*arguments, **named))  # type: ignore[arg-type]
    return console.export_text()


def test_rates_are_differences_and_never_negative() -> None:
    before, now = overview(10, 100), overview(12, 500)
    assert Rates.between(before, now).per_s["lines"] == 200
    assert Rates.between(now, overview(14, 7)).per_s["lines"] == 0
    assert Rates.between(None, now).per_s["lines"] == 0


def test_the_screen_shows_processes_totals_and_the_score() -> None:
    tally = Tally()
    tally.add([0.9, 0.1], [1, 0])
    seen = overview(12, 1_234)
    found = shown(seen, Rates.between(None, seen), tally.score(), {"purchase": tally.score()})
    for expected in ("updater", "ready", "1,234", "12 ms", "purchase", "1.000", "0.010"):
        assert expected in found
    found = line(seen, Rates.between(None, seen), tally.score())
    assert "updater=3" in found
    assert "AUC 1.000" in found


def test_a_crash_and_a_silent_broker_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "lake-0.log"
    log.write_text("starting\ntwins: the disk is full\n")
    child = Child("lake", "0", log, restarts=2, start_at=1.0, exit_code=1)
    seen = overview(1, 0, reachable=False, lag=None)
    found = shown(seen, Rates.between(None, seen), children=[child])
    assert "crashed 2 times, exit code 1: twins: the disk is full" in found
    assert "does not answer" in found

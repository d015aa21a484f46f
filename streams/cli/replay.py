"""`twins replay complete-journey`: publishes the real data set in time order, with faults on request."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from streams.errors import UsageError
from streams.settings import load_settings
from streams.sources.chaos import Chaos, ChaosReport, inject, parse_chaos
from streams.sources.complete_journey import CompleteJourney
from streams.sources.complete_journey.journey import PUBLISHED, SOURCE
from streams.sources.schedule import Published, publish
from streams.topics import PROMOTIONS, Topic
from twin_store.messages.codec import instant_of, to_money


def register(app: typer.Typer) -> None:
    """Add the `replay` command group."""
    group = typer.Typer(no_args_is_help=True, help="Publish a data set as live events.")
    group.callback()(_group)  # keeps the data set's name a command although it is the only one
    group.command("complete-journey")(complete_journey)
    app.add_typer(group, name="replay")


def complete_journey(
    speed: Annotated[str, typer.Option(help="Times real time, such as 3600, or `max`.")] = "max",
    from_: Annotated[
        str | None, typer.Option("--from", help="First instant, such as 2017-03-01; UTC unless it says.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Stop before this instant.")] = None,
    customers: Annotated[
        str | None,
        typer.Option(help="How many customers, or ids with commas (one id: `900,`); all if unset."),
    ] = None,
    topics: Annotated[
        str | None, typer.Option(help=f"Only these, with commas: {', '.join(t.name for t in PUBLISHED)}.")
    ] = None,
    promotions: Annotated[bool, typer.Option(help="Displays, mailers, coupons and campaigns.")] = True,
    displays: Annotated[bool, typer.Option(help="Of the promotions: the displays and mailers.")] = True,
    rounds: Annotated[
        int, typer.Option(min=1, help="The receipts so many times, each time 53 weeks later with other ids.")
    ] = 1,
    chaos: Annotated[
        str | None,
        typer.Option(help="Faults: duplicates=0.1,out_of_order=0.2,late=7d,poison=0.01,seed=1"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object when done.")] = False,
) -> None:
    """Publish the Complete Journey: receipts, catalogue, promotions, coupons, campaigns, demographics."""
    pace = parse_speed(speed)
    wanted = [topic for topic in parse_topics(topics) if promotions or topic is not PROMOTIONS]
    faults = parse_chaos(chaos) if chaos else Chaos()
    records = CompleteJourney().records(
        parse_instant("--from", from_) if from_ else None,
        parse_instant("--until", until) if until else None,
        parse_customers(customers),
        wanted,
        displays,
        rounds,
    )
    report = ChaosReport()
    with stop_on_interrupt() as stop, _Progress(hidden=as_json) as progress:
        done = publish(
            load_settings(),
            inject(records, faults, report),
            pace,
            source=SOURCE,
            on_progress=progress,
            stop=stop,
        )
    _print(done, report if chaos else None, as_json)


@contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets, so that what was begun is still delivered and summed up."""
    stop = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def parse_speed(text: str) -> float | None:
    """`max` (None) or times real time. Raises `UsageError`."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise UsageError(f"--speed {text}: give `max` or a number above 0, such as 3600 for an hour a second")
    return speed


def parse_instant(option: str, text: str) -> datetime:
    """A date or an instant; UTC unless it carries an offset. Raises `UsageError`."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option} {text}: not a date or an instant, such as 2017-03-01 or 2017-03-01T09:30Z"
        ) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def parse_customers(text: str | None) -> int | list[str] | None:
    """A count, or ids when there is a comma."""
    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    return [customer for part in text.split(",") if (customer := part.strip())]


def parse_topics(text: str | None) -> tuple[Topic, ...]:
    """The topics named, or all that the data set fills. Raises `UsageError`."""
    if text is None:
        return PUBLISHED
    by_name = {topic.name: topic for topic in PUBLISHED}
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise UsageError(f"--topics {', '.join(unknown)}: the data set fills only {', '.join(by_name)}")
    return tuple(by_name[name] for name in names)


class _Progress:
    """A line on the terminal: how far event time has come, and how fast."""

    def __init__(self, hidden: bool) -> None:
        from rich.console import Console
        from rich.status import Status

        self._status = Status("building the first messages", console=Console(stderr=True, quiet=hidden))

    def __enter__(self) -> Callable[[Published], None]:
        self._status.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def _show(self, done: Published) -> None:
        reached = f"{instant_of(done.last_at):%Y-%m-%d %H:%M}" if done.last_at is not None else "-"
        rate = done.lines / done.wall_s if done.wall_s else 0.0
        self._status.update(
            f"{reached}  {done.messages.total():,} messages  {done.lines:,} lines  {rate:,.0f} lines/s"
        )


def summary(done: Published, report: ChaosReport | None) -> dict[str, Any]:
    """What `--json` prints."""
    found: dict[str, Any] = {
        "messages": dict(done.messages),
        "bytes": done.bytes,
        "lines": done.lines,
        "net_minor": done.net_minor,
        "wall_s": round(done.wall_s, 3),
        "lines_per_s": round(done.lines / done.wall_s) if done.wall_s else 0,
        "stopped": done.stopped,
    }
    if report is not None:
        found["chaos"] = {
            "records": report.records,
            "duplicates": report.duplicates,
            "delayed": report.delayed,
            "overtaken": report.overtaken,
            "poison": dict(report.poison),
        }
    return found


def _print(done: Published, report: ChaosReport | None, as_json: bool) -> None:
    found = summary(done, report)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for topic, count in found["messages"].items():
        typer.echo(f"{topic:<22}{count:>10,} messages")
    typer.echo(
        f"{done.lines:,} receipt lines, {to_money(done.net_minor)} net, in {done.wall_s:.1f} s"
        f" ({found['lines_per_s']:,} lines/s){'; stopped before the end' if done.stopped else ''}"
    )
    if report is not None:
        typer.echo(
            f"faults: {report.duplicates:,} duplicates, {report.overtaken:,} out of order,"
            f" {report.poison.total():,} poison"
        )


def _group() -> None:
    """Publish a data set as live events."""

"""`twins broker start|stop|status`: the local Kafka broker."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from streams.broker import BrokerStatus, dev_broker
from streams.settings import load_settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the `broker` command group."""
    group = typer.Typer(no_args_is_help=True, help="Start, stop and inspect the local Kafka broker.")
    group.command("start")(start)
    group.command("stop")(stop)
    group.command("status")(status)
    app.add_typer(group, name="broker")


def start(as_json: Json = False) -> None:
    """Start the broker (fetching it the first time) and wait until it answers."""
    _print(dev_broker(load_settings()).start(), as_json)


def stop(as_json: Json = False) -> None:
    """End the broker cleanly; its data stays."""
    broker = dev_broker(load_settings())
    broker.stop()
    _print(broker.status(), as_json)


def status(as_json: Json = False) -> None:
    """Say whether the broker runs; exit 1 if it does not."""
    found = dev_broker(load_settings()).status()
    _print(found, as_json)
    if found.state != "running":
        raise typer.Exit(1)


def _print(status: BrokerStatus, as_json: bool) -> None:
    if as_json:
        fields = {"state": status.state, "bootstrap": status.bootstrap, "pid": status.pid}
        typer.echo(json.dumps(fields | {"data_dir": str(status.data_dir), "log": str(status.log)}))
    elif status.pid is None:
        typer.echo(f"broker {status.state} (data in {status.data_dir})")
    else:
        typer.echo(f"broker {status.state} at {status.bootstrap}, pid {status.pid}, log {status.log}")

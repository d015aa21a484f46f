"""`twins`: finds the command, loads its module alone, and turns anticipated failures into one line.

Each module named in `COMMANDS` has `register(app)`, which adds its command or group of commands. Only the
module of the command that was called is imported: `twins --help` is quick and `twins status` loads no torch.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import typer

from streams.errors import TwinsError

# command -> (module that registers it, the line that `twins --help` shows)
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("streams.cli.up", "Run all parts on this machine, with a live view."),
    "status": ("streams.cli.status", "Show what runs, how far behind it is and what it has done."),
    "show": ("streams.cli.show", "Show a customer's Shopping-DNA, now or at any moment."),
    "ask": ("streams.cli.ask", "Ask a question about a customer; the answer with its evidence."),
    "run": ("streams.cli.run", "Run one process of the system."),
    "verify": ("streams.cli.verify", "Recompute every twin from the lake and compare."),
    "broker": ("streams.cli.broker", "Start, stop and inspect the local Kafka broker."),
    "topics": ("streams.cli.topics", "Create and reconcile the Kafka topics."),
    "ingest": ("streams.cli.ingest", "Publish a retailer's own file by a column mapping."),
    "replay": ("streams.cli.replay", "Publish a data set as live events, with faults on request."),
    "contracts": ("streams.cli.contracts", "Export the message contracts."),
    "dlq": ("streams.cli.dlq", "List, show and replay messages that could not be used."),
    "lake": ("streams.cli.lake", "Inspect and tidy the event lake."),
    "products": ("streams.cli.products", "Search the product index, or build it again."),
    "tasks": ("streams.cli.tasks", "Build decision tasks as tables, and check them for leaks."),
    "train": ("streams.cli.train", "Fit the models that answer decision queries."),
    "evaluate": ("streams.cli.evaluate", "Measure how true the twins are, or answer cases made elsewhere."),
    "adapters": ("streams.cli.adapters", "Release language adapters by segment, compare, roll back."),
    "models": ("streams.cli.models", "Versions of models: promote, roll back, compare, tidy."),
    "schedule": ("streams.cli.schedule", "When and how segments are trained; changes take effect live."),
    "drift": ("streams.cli.drift", "How well twins and answers still fit their models."),
    "demo": ("streams.cli.demo", "The whole system on real receipts, from nothing to a report."),
    "demo-drift": ("streams.cli.demo_drift", "One segment drifts, is retrained, gated and swapped."),
    "config": ("streams.cli.config", "Print the settings in force and where each came from."),
}


def build(arguments: Sequence[str]) -> typer.Typer:
    """The command line for `arguments`: the command they name in full, of the others only the help line."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="A live Shopping-DNA twin of every customer, folded exactly once from Kafka.",
    )
    app.callback()(_nothing)  # makes it a group even when only one command is registered
    wanted = arguments[0] if arguments else None
    for name, (module, line) in COMMANDS.items():
        if name == wanted:
            importlib.import_module(module).register(app)
        else:
            app.command(name, help=line)(_nothing)
    return app


def main() -> None:
    """The console entry point. Exit codes: 0 done, 1 failed, 2 wrong usage or settings."""
    arguments = sys.argv[1:]
    try:
        build(arguments)(arguments, prog_name="twins")
    except TwinsError as error:
        typer.echo(f"twins: {error}", err=True)
        sys.exit(error.exit_code)


def _nothing() -> None:
    """Stands for a command that is only listed."""

"""`twins dlq list|show|replay`: what could not be used, why, and how to publish it again."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from streams.dead_letter_replay import mend_by_assignments, mend_by_bodies, read_bodies, replay
from streams.dead_letters import Selection, check_origin, describe, read_letters
from streams.errors import TwinsError, UsageError
from streams.settings import load_settings
from streams.topics import DEAD_LETTERS, LATE

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
TopicOption = Annotated[str | None, typer.Option("--topic", help="Only letters of this original topic.")]
Partition = Annotated[int | None, typer.Option("--partition", help="Only this original partition.")]
First = Annotated[int | None, typer.Option("--from-offset", help="Original offsets from here.")]
Last = Annotated[int | None, typer.Option("--to-offset", help="Original offsets up to here, inclusive.")]
Stage = Annotated[str | None, typer.Option("--stage", help="Only letters whose stage contains this.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Only letters whose reason contains this.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most this many letters.")]
Late = Annotated[bool, typer.Option("--late", help="The late topic instead of the dead letters.")]


def register(app: typer.Typer) -> None:
    """Add the `dlq` command group."""
    group = typer.Typer(no_args_is_help=True, help="Messages that could not be used.")
    group.command("list")(list_letters)
    group.command("show")(show)
    group.command("replay")(replay_letters)
    app.add_typer(group, name="dlq")


def list_letters(
    topic: TopicOption = None,
    partition: Partition = None,
    first: First = None,
    last: Last = None,
    stage: Stage = None,
    reason: Reason = None,
    limit: Limit = None,
    late: Late = False,
    as_json: Json = False,
) -> None:
    """List the open letters: origin, stage, place and reason."""
    selection = Selection(topic, partition, first, last, stage, reason)
    letters = read_letters(load_settings(), selection, LATE if late else DEAD_LETTERS)
    count = 0
    for letter in islice(letters, limit):
        row = describe(letter)
        count += 1
        if as_json:
            typer.echo(json.dumps(row))
        else:
            place = f" at {row['place']}" if row["place"] else ""
            typer.echo(f"{row['origin']}  {row['stage']}{place}: {row['reason']}")
    if not as_json:
        typer.echo(f"{count} open letter{'' if count == 1 else 's'}")


def show(
    origins: Annotated[list[str], typer.Argument(help="topic/partition/offset, as `list` shows it.")],
    late: Late = False,
    as_json: Json = False,
) -> None:
    """Show letters whole, with their body. A line of `--json` can be mended and given to `replay --file`."""
    wanted = frozenset(check_origin(origin) for origin in origins)
    topic = LATE if late else DEAD_LETTERS
    found = list(read_letters(load_settings(), Selection(origins=wanted), topic))
    for letter in found:
        row = describe(letter, with_body=True)
        typer.echo(json.dumps(row, indent=None if as_json else 2, ensure_ascii=as_json))
    if len(found) < len(wanted):
        missing = wanted - {str(describe(letter)["origin"]) for letter in found}
        raise TwinsError(
            f"no open letter about {', '.join(sorted(missing))}; `twins dlq list` shows the open ones"
        )


def replay_letters(
    origins: Annotated[list[str] | None, typer.Argument(help="Only these; default: all that match.")] = None,
    topic: TopicOption = None,
    partition: Partition = None,
    first: First = None,
    last: Last = None,
    stage: Stage = None,
    reason: Reason = None,
    limit: Limit = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Mend: path=text or path:=json, such as lines[3].quantity:=2. Repeatable."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", help='Mend: NDJSON of {"origin": ..., "body": ...}; only these are replayed.'),
    ] = None,
    late: Late = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Publish letters to their original topic again, each once, and mark them as replayed.

    Exit 1 if a letter was skipped.
    """
    if assignments and file:
        raise UsageError("--set and --file do not go together: put the whole mended body into the file")
    bodies = read_bodies(file) if file else None
    mend = (
        mend_by_bodies(bodies)
        if bodies is not None
        else mend_by_assignments(assignments)
        if assignments
        else None
    )
    named = frozenset(check_origin(origin) for origin in origins) if origins else None
    if bodies is not None:
        named = frozenset(bodies) & named if named is not None else frozenset(bodies)
    selection = Selection(topic, partition, first, last, stage, reason, named)
    report = replay(load_settings(), selection, mend, limit, LATE if late else DEAD_LETTERS)
    if as_json:
        typer.echo(json.dumps({"replayed": report.replayed, "skipped": report.skipped}))
    else:
        for origin, why in report.skipped.items():
            typer.echo(f"skipped {origin}: {why}")
        typer.echo(f"replayed {report.replayed}, skipped {len(report.skipped)}")
    if report.skipped:
        raise typer.Exit(1)

"""`twins ingest FILE --mapping M.toml`: a retailer's own file as messages, every row checked first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli.replay import stop_on_interrupt
from streams.settings import Settings, load_settings
from streams.sources.ingest.mapping import load_mapping
from streams.sources.ingest.pipeline import Found, Prepared, prepare
from streams.sources.ingest.rejects import IngestError, RejectLog
from streams.sources.record import Record
from streams.sources.schedule import Published, publish

NAMES = {
    "sale": "sales",
    "return": "returns",
    "void": "voids",
    "catalog": "products",
    "customer": "customers",
}
SHOWN_MESSAGES = 2  # of each topic, with --dry-run


class OnError(StrEnum):
    """What to do when some rows cannot be used."""

    STOP = "stop"
    SKIP = "skip"
    DEAD_LETTER = "dead-letter"


def register(app: typer.Typer) -> None:
    """Add the `ingest` command."""
    app.command("ingest")(ingest)


def ingest(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet or NDJSON, `.gz` or not.")],
    mapping: Annotated[Path, typer.Option(help="TOML file that says which column is what.")],
    on_error: Annotated[
        OnError,
        typer.Option(help="Rows that cannot be used: publish nothing, leave them out, or letter them too."),
    ] = OnError.STOP,
    errors: Annotated[int, typer.Option(min=0, help="How many errors to print.")] = 20,
    rejects: Annotated[
        Path | None, typer.Option(help="Where to write all errors; default: DATA_DIR/rejects/FILE.ndjson")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all, show the first messages.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object when done.")] = False,
) -> None:
    """Publish a file of sales and returns, products or customers, by a column mapping."""
    settings = load_settings()
    rejects_path = rejects or settings.data_dir / "rejects" / f"{file.name}.ndjson"
    columns = load_mapping(mapping)
    with (
        _progress(file, hidden=as_json) as progress,
        prepare(settings, file, columns, rejects_path, errors, progress.read) as prepared,
    ):
        if prepared.rejects.count and on_error is OnError.STOP and not dry_run:
            raise IngestError(_explain(prepared.rejects))
        if dry_run:
            _print(prepared, Published(), as_json, _first_messages(prepared))
            return
        records = prepared.records()
        if on_error is OnError.DEAD_LETTER:
            records = chain(prepared.dead_letters(file), records)
        done = _publish(settings, file, records, progress)
    _print(prepared, done, as_json)


def _publish(settings: Settings, file: Path, records: Iterator[Record], progress: _Progress) -> Published:
    with stop_on_interrupt() as stop:
        return publish(
            settings, records, source=f"/ingest/{file.name}", on_progress=progress.publish, stop=stop
        )


def _explain(rejects: RejectLog) -> str:
    rest = rejects.count - len(rejects.first)
    more = f"\n  and {rest:,} more" if rest else ""
    return (
        f"{rejects.rows:,} rows cannot be used; nothing was published\n{_listed(rejects)}{more}\n"
        f"All are in {rejects.path}. Mend the file or the mapping, or leave them out with --on-error skip"
    )


def _listed(rejects: RejectLog) -> str:
    return "\n".join(f"  {reject}" for reject in sorted(rejects.first, key=attrgetter("row")))


class _Progress:
    """Bars on the terminal: bytes read, then messages published."""

    def __init__(self, file: Path, hidden: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[seen]}"))
        self.bars = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True, quiet=hidden))
        size = file.stat().st_size if file.is_file() else 0
        self._reading = self.bars.add_task("checking", total=size, seen="")
        self._publishing = self.bars.add_task("publishing", total=None, seen="", visible=False)

    def read(self, found: Found) -> None:
        """A batch was checked."""
        self.bars.update(self._reading, completed=found.bytes_read, seen=f"{found.rows:,} rows")

    def publish(self, done: Published) -> None:
        """Some messages were published."""
        self.bars.update(self._publishing, visible=True, seen=f"{done.messages.total():,} messages")


@contextmanager
def _progress(file: Path, hidden: bool) -> Iterator[_Progress]:
    progress = _Progress(file, hidden)
    with progress.bars:
        yield progress


def _first_messages(prepared: Prepared) -> list[dict[str, Any]]:
    """The first few of each topic, as they would be published."""
    shown: Counter[str] = Counter()
    first = []
    for record in prepared.records():
        shown[record.topic.name] += 1
        if shown[record.topic.name] <= SHOWN_MESSAGES and record.value is not None:
            first.append(
                {"topic": record.topic.name, "key": record.key.decode(), "value": json.loads(record.value)}
            )
    return first


def _print(
    prepared: Prepared, done: Published, as_json: bool, first: list[dict[str, Any]] | None = None
) -> None:
    found, rejects = prepared.found, prepared.rejects
    if as_json:
        summary = {
            "rows": found.rows,
            "found": dict(found.kinds),
            "lines": found.lines,
            "without_customer": found.without_customer,
            "rejected_rows": rejects.rows,
            "errors": [str(reject) for reject in rejects.first],
            "rejects": str(rejects.path) if rejects.count else None,
            "published": dict(done.messages),
            "stopped": done.stopped,
        }
        typer.echo(json.dumps(summary | ({} if first is None else {"first": first}), indent=2))
        return
    for message in first or ():
        typer.echo(f"{message['topic']} {message['key']}\n{json.dumps(message['value'], indent=2)}")
    kinds = ", ".join(f"{found.kinds[kind]:,} {name}" for kind, name in NAMES.items() if found.kinds[kind])
    typer.echo(f"{found.rows:,} rows: {kinds or 'nothing'}; {found.lines:,} receipt lines")
    if found.without_customer:
        typer.echo(f"{found.without_customer:,} rows without a customer left out")
    if rejects.count:
        typer.echo(f"{rejects.rows:,} rows left out, all in {rejects.path}; the first:")
        typer.echo(_listed(rejects))
    published = ", ".join(f"{count:,} to {topic}" for topic, count in done.messages.items())
    typer.echo(
        "dry run: nothing was published" if first is not None else f"published {published or 'nothing'}"
    )

"""`twins evaluate`: how true the twins are, on cases of its own or on cases made elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.errors import TwinsError, UsageError
from streams.machine import machine
from streams.settings import load_settings

if TYPE_CHECKING:
    from trainer.fit_evidence import Effort
    from twin_store.lake import Lake

MEASURED_DAYS = 91  # if no split is given: the last quarter of what is known
FROZEN_FILE = "cases.jsonl"
SAID_AT_ONCE = 20  # lines that are no case, before the work begins; all of them are in the file of answers
Say = Callable[[str], None]


def register(app: typer.Typer) -> None:
    """Add the `evaluate` command."""
    app.command("evaluate")(evaluate)


def evaluate(
    cases: Annotated[
        Path | None, typer.Option(help="Answer these cases, one JSON object a line, instead of own ones.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file of the answers, or the report's folder; default: fidelity.")
    ] = None,
    train_until: Annotated[
        datetime | None,
        typer.Option(help="With --cases: nothing from this date on is fitted on; default: the first case's."),
    ] = None,
    split: Annotated[
        datetime | None,
        typer.Option(help="Fitted on what was before, measured on what came after; default: 91 days ago."),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(help="Measured on what was before; default: all receipts.")
    ] = None,
    deciders: Annotated[str, typer.Option(help="`all`, or `evidence` alone, without the baselines.")] = "all",
    parts: Annotated[
        str,
        typer.Option(help="With commas, what is measured besides: staleness, ladder, ablation, published."),
    ] = "staleness,ladder,ablation,published",
    markdown: Annotated[
        Path | None, typer.Option(help="Also write the Markdown report here, such as docs/fidelity.md.")
    ] = None,
    lake: Annotated[str | None, typer.Option(help="The lake's URL; default: the deployment's.")] = None,
    scale: Annotated[
        float, typer.Option(min=0.01, max=10, help="How many cases to fit and measure on, times the usual.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed and lake give the same cases and models.")] = 1,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads of LightGBM; more than one only on a machine that is idle.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Measure how true the twins are on decisions they have not seen, beside every baseline, and write a report."""
    from trainer.fidelity.frozen import FrozenError
    from trainer.fit_evidence import Effort
    from trainer.tasks.history import NotEnoughHistoryError
    from twin_store.lake import Lake, LakeError

    began = time.monotonic()

    def say(line: str) -> None:
        typer.echo(f"{time.monotonic() - began:6.1f} s  {line}", err=True)

    effort = Effort(seed=seed, threads=threads).times(scale)
    try:
        events = Lake(lake or load_settings().lake)
        if cases is not None:
            if out is None:
                raise UsageError("--out FILE says where the answers go")
            found = _answer(events, cases, out, train_until, effort, say)
        else:
            wanted = _parts(deciders, parts)
            found = _measure(
                events, out or Path("fidelity"), split, until, wanted, scale, effort, markdown, say
            )
    except (FrozenError, NotEnoughHistoryError, OSError) as error:
        raise UsageError(str(error)) from None
    except LakeError as error:
        raise TwinsError(str(error)) from None
    if as_json:
        print(json.dumps(found, indent=2))


def _answer(
    lake: Lake, cases: Path, out: Path, train_until: datetime | None, effort: Effort, say: Say
) -> dict[str, Any]:
    from trainer.fidelity.answers import Answer, answer_cases
    from trainer.fidelity.external import ExternalCase, Unanswered, read_lines
    from trainer.fidelity.fitting import decider_over, fit_for, heads_for
    from trainer.fidelity.known import Known
    from twin_store.messages.codec import instant_of

    with cases.open("rb") as lines:
        read = list(read_lines(lines))
    asked = [each for each in read if isinstance(each, ExternalCase)]
    if not read:
        raise UsageError(f"{cases} holds no case")
    for each in [each for each in read if isinstance(each, Unanswered)][:SAID_AT_ONCE]:
        say(f"line {each.line}: {each.reason}")  # before the long work begins
    said: dict[int, Answer | Unanswered] = {each.line: each for each in read if isinstance(each, Unanswered)}
    until = None
    if asked:
        first = instant_of(min(case.as_of for case in asked) + 1)
        until = first if train_until is None else _utc(train_until)
        if until > first:
            say(f"fitted on what came after the first case ({first.date()}): answers may know their outcomes")
        known = Known(lake, asked, say)
        fitted = fit_for(lake, until, heads_for(asked), effort, say)
        version, began = f"until {until.date()}", time.monotonic()

        def progress(done: int) -> None:
            left = (time.monotonic() - began) * (len(asked) - done) / done
            say(f"{done:,} of {len(asked):,} cases, about {left:.0f} s left")

        found = answer_cases(
            known, asked, lambda products: decider_over(fitted, version, products), progress=progress
        )
        said |= {case.line: answer for case, answer in zip(asked, found, strict=True)}
    _write(out, "".join(json.dumps(said[line].as_json()) + "\n" for line in sorted(said)))
    failed = [each for _, each in sorted(said.items()) if isinstance(each, Unanswered)]
    say(f"{len(said) - len(failed):,} answers in {out}")
    if failed:
        raise TwinsError(
            f"{cases}: {len(failed)} of {len(said):,} lines have no answer, the first is line {failed[0].line}: "
            f"{failed[0].reason}; the others are answered, and {out} says why for each of these"
        )
    return {"cases": len(said), "out": str(out), "train_until": until.isoformat() if until else None}


def _measure(
    lake: Lake,
    out: Path,
    split: datetime | None,
    until: datetime | None,
    parts: tuple[str, ...],
    scale: float,
    effort: Effort,
    markdown: Path | None,
    say: Say,
) -> dict[str, Any]:
    from trainer.fidelity.report.markdown import to_markdown
    from trainer.fidelity.report.page import to_page
    from trainer.fidelity.run import Settings, run
    from trainer.tasks.history import after_the_newest

    end = after_the_newest(lake) if until is None else _utc(until)
    middle = end - timedelta(days=MEASURED_DAYS) if split is None else _utc(split)
    if middle >= end:
        raise UsageError(f"--split {middle.date()} is not before {end.date()}")
    out.mkdir(parents=True, exist_ok=True)
    settings = Settings(middle, end, scale, effort.seed + 1, parts, effort)
    report = run(lake, settings, out / FROZEN_FILE, say)
    report["made"] = {"date": datetime.now(UTC).date().isoformat(), "commit": _commit(), "machine": machine()}
    _write(out / "report.json", json.dumps(report, indent=1) + "\n")
    _write(out / "report.md", to_markdown(report))
    _write(out / "report.html", to_page(report))
    if markdown is not None:
        _write(markdown, to_markdown(report))
    say(f"report in {out}")
    return report


def _parts(deciders: str, parts: str) -> tuple[str, ...]:
    from trainer.fidelity.run import PARTS

    if deciders not in ("all", "evidence"):
        raise UsageError(f"--deciders {deciders}: there are all and evidence")
    wanted = [part.strip() for part in parts.split(",") if part.strip()]
    if unknown := [part for part in wanted if part not in PARTS or part == "baselines"]:
        raise UsageError(f"--parts {unknown[0]}: there are {', '.join(PARTS[1:])}")
    return (("baselines",) if deciders == "all" else ()) + tuple(wanted)


def _utc(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _commit() -> str:
    """Of the checkout that this code is in, with a mark where it was changed; unknown where there is none."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        found = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return found.stdout.strip() if found.returncode == 0 else "unknown"


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)

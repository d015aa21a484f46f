"""`twins schedule list|set|pause|resume|run-now|history`: when segments are trained. Changes take effect at once."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from streams.errors import UsageError
from streams.settings import load_settings

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Segment = Annotated[str, typer.Argument(help="A segment, or `all` for those that say nothing themselves.")]
Why = Annotated[str, typer.Option(help="Why, for the audit.")]


def register(app: typer.Typer) -> None:
    """Add the `schedule` command group."""
    group = typer.Typer(
        no_args_is_help=True, help="When and how segments are trained; changes take effect live."
    )
    group.command("list")(list_policies)
    group.command("set")(set_policy)
    group.command("pause")(pause)
    group.command("resume")(resume)
    group.command("run-now")(run_now)
    group.command("history")(history)
    app.add_typer(group, name="schedule")


def list_policies(as_json: Json = False) -> None:
    """What is in force for each segment, when it is trained next, and what waits."""
    from streams.schedule.desk import overview

    rows = overview(load_settings(), datetime.now(UTC))
    for row in rows:
        typer.echo(json.dumps(row) if as_json else _line(row))


def set_policy(
    segment: Segment,
    cron: Annotated[
        str | None, typer.Option(help="When: five cron fields in UTC, such as `30 3 * * mon`; `none`: never.")
    ] = None,
    decider: Annotated[str | None, typer.Option(help="What is trained: `evidence` or `vllm`.")] = None,
    on_drift: Annotated[
        bool | None, typer.Option("--on-drift/--not-on-drift", help="Train when it drifts.")
    ] = None,
    quiet: Annotated[
        str | None, typer.Option(help="Hours without training, HH:MM-HH:MM in UTC; `none`: no such hours.")
    ] = None,
    gpu_budget_s: Annotated[
        float | None, typer.Option(min=0, help="Seconds a day for trainings of language models.")
    ] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=9, help="Which first, 9 before 0.")] = None,
    cooldown_h: Annotated[float | None, typer.Option(min=0, help="Hours between two trainings.")] = None,
    timeout_s: Annotated[float | None, typer.Option(min=1, help="Seconds that a training may take.")] = None,
    attempts: Annotated[int | None, typer.Option(min=1, max=10, help="How often a job is tried.")] = None,
    psi_max: Annotated[
        float | None, typer.Option(min=0.01, help="Drift: population stability that trips.")
    ] = None,
    performance_z: Annotated[
        float | None, typer.Option(min=0.5, help="Drift: standard errors of performance that trip.")
    ] = None,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Change what is named; the rest stays as it is."""
    named = {
        "cron": cron,
        "decider": decider,
        "on_drift": on_drift,
        "quiet": quiet,
        "gpu_budget_s": gpu_budget_s,
        "priority": priority,
        "cooldown_h": cooldown_h,
        "timeout_s": timeout_s,
        "attempts": attempts,
        "psi_max": psi_max,
        "performance_z": performance_z,
    }
    fields = {name: value for name, value in named.items() if value is not None}
    if not fields:
        raise UsageError("name something to change, such as --cron '30 3 * * mon'; see --help")
    _change(segment, fields, why, as_json)


def pause(segment: Segment, why: Why = "", as_json: Json = False) -> None:
    """Let jobs wait, but for those that are asked for by hand."""
    _change(segment, {"paused": True}, why, as_json)


def resume(segment: Segment, why: Why = "", as_json: Json = False) -> None:
    """Let jobs run again."""
    _change(segment, {"paused": False}, why, as_json)


def run_now(segment: Segment, why: Why = "", as_json: Json = False) -> None:
    """Train a segment as soon as the scheduler is free, whatever hour and budget say."""
    from streams.schedule.desk import ask_for

    for job in ask_for(load_settings(), segment, uuid.uuid4().hex[:10], why):
        typer.echo(job.model_dump_json() if as_json else f"{job.job_id} waits; see `twins schedule history`")


def history(
    segment: Annotated[str | None, typer.Argument(help="Only this segment's.")] = None,
    last: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """The jobs: what raised them, what became of them and why."""
    from streams.schedule.desk import jobs

    found = [job for job in jobs(load_settings()) if segment in (None, job.segment)][:last]
    for job in found:
        if as_json:
            typer.echo(job.model_dump_json())
            continue
        took = (
            f", {(job.ended_at - job.started_at).total_seconds():.0f} s"
            if job.ended_at and job.started_at
            else ""
        )
        version = f" {job.decider_version}" if job.decider_version else ""
        typer.echo(
            f"{job.due_at:%Y-%m-%d %H:%M}  {job.job_id}  {job.status}{version}{took}  {job.reason or ''}"
        )
    if not found and not as_json:
        typer.echo("no job yet")


def _change(segment: str, fields: dict[str, Any], why: str, as_json: bool) -> None:
    from streams.schedule.desk import change_policy

    settings = load_settings()
    policy = change_policy(settings, segment, fields, why)
    said = policy.model_dump(mode="json", exclude_none=True)
    typer.echo(
        json.dumps(said) if as_json else f"{segment}: {', '.join(f'{k} {v}' for k, v in fields.items())}"
    )


def _line(row: dict[str, Any]) -> str:
    state = (
        "paused"
        if row["paused"]
        else f"next {row['next'] or 'only on drift' if row['on_drift'] else row['next']}"
    )
    waits = (
        f"; {len(row['waiting'])} waiting: {row['waiting'][0]['reason'] or 'next'}" if row["waiting"] else ""
    )
    running = f"; running {row['running']}" if row["running"] else ""
    return (
        f"{row['segment']:20} {row['decider']}, cron {row['cron']}, {state}, quiet {row['quiet']}, "
        f"priority {row['priority']}, rest {row['cooldown_h']:g} h{waits}{running}"
    )

"""`twins models list|promote|rollback|retire|shadow|diff|gc`: versions, their stages, and who answers."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from streams.errors import TwinsError, UsageError
from streams.settings import load_settings

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Line = Annotated[str, typer.Argument(help="`evidence`, `evidence/SEGMENT` or `vllm/SEGMENT`.")]
Version = Annotated[str, typer.Argument(help="A version, as `twins models list` shows it.")]
Why = Annotated[str, typer.Option(help="Why, for the audit.")]


def register(app: typer.Typer) -> None:
    """Add the `models` command group."""
    group = typer.Typer(no_args_is_help=True, help="Versions of models: promote, roll back, compare, tidy.")
    group.command("list")(list_models)
    group.command("promote")(promote)
    group.command("rollback")(roll_back)
    group.command("shadow")(shadow)
    group.command("retire")(retire)
    group.command("diff")(diff)
    group.command("gc")(collect)
    app.add_typer(group, name="models")


def list_models(
    line: Annotated[str | None, typer.Argument(help="Only this line.")] = None, as_json: Json = False
) -> None:
    """Every version with its stage, what it was trained on and what it replaced."""
    from streams.model_desk import must_be_a_line
    from trainer.registry import Registry, RegistryError
    from trainer.stages import Stages

    settings = load_settings()
    registry = Registry(settings.models)
    if line is not None:
        must_be_a_line(settings, line)
    found = 0
    for name in registry.lines() if line is None else [line]:
        try:
            stages = Stages(registry, name).of()
            for version, stage in stages.items():
                found += 1
                manifest = registry.manifest(name, version)
                row = {"line": name, "version": version, "stage": stage, "since": manifest.since}
                row |= {"until": manifest.until, "parent": manifest.parent, "created_at": manifest.created_at}
                typer.echo(json.dumps(row) if as_json else _row(row))
        except RegistryError as error:
            raise TwinsError(str(error)) from error
    if not found and not as_json:
        typer.echo(f"no version in {settings.models} yet; `twins train evidence` makes the first")


def promote(line: Line, version: Version, why: Why = "by hand", as_json: Json = False) -> None:
    """Let a version answer. The workers take it up by themselves."""
    _tell(_desk(line).promote(line, version, why), as_json)


def roll_back(line: Line, why: Why = "by hand", as_json: Json = False) -> None:
    """Let the champion before answer again; a segment that had none goes back to the model of all."""
    _tell(_desk(line).roll_back(line, why), as_json)


def shadow(line: Line, version: Version, why: Why = "by hand", as_json: Json = False) -> None:
    """Note that a version is on trial. An adapter is put on trial by `twins adapters release --shadow`."""
    _tell(_desk(line).set_aside(line, version, "shadow", why), as_json)


def retire(line: Line, version: Version, why: Why = "by hand", as_json: Json = False) -> None:
    """Note that a version is not wanted any more; `gc` may then delete it."""
    _tell(_desk(line).set_aside(line, version, "retired", why), as_json)


def diff(line: Line, one: Version, other: Version, as_json: Json = False) -> None:
    """What two versions differ in: files, measures, what they were trained on."""
    from trainer.registry import Registry, RegistryError

    registry = Registry(load_settings().models)
    try:
        first, second = (asdict(registry.manifest(line, version)) for version in (one, other))
    except RegistryError as error:
        raise UsageError(str(error)) from None
    found = dict(_differences("", first, second))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, (before, after) in found.items():
        typer.echo(f"{name}: {before} -> {after}")


def collect(
    line: Line,
    keep: Annotated[int, typer.Option(min=0, help="So many of the others stay, the newest.")] = 3,
    why: Why = "tidied",
    as_json: Json = False,
) -> None:
    """Delete old versions; never who answers, what a rollback returns to, or who is on trial."""
    doomed = _desk(line).collect(line, keep, why)
    typer.echo(json.dumps(doomed) if as_json else "\n".join(doomed) or "nothing to delete")


def _desk(line: str) -> Any:
    from streams.model_desk import ModelDesk, must_be_a_line, person

    settings = load_settings()
    must_be_a_line(settings, line)
    return ModelDesk(settings, person())


def _differences(place: str, first: Any, second: Any) -> list[tuple[str, list[Any]]]:
    if isinstance(first, dict) and isinstance(second, dict):
        names = sorted(first.keys() | second.keys())
        return [
            each
            for name in names
            for each in _differences(f"{place}.{name}" if place else name, first.get(name), second.get(name))
        ]
    return [] if first == second else [(place, [first, second])]


def _row(row: dict[str, Any]) -> str:
    parent = f", in place of {row['parent']}" if row["parent"] else ""
    since = f"{row['since'][:10]} to " if row["since"] else ""
    return f"{row['line']:28} {row['version']}  {row['stage']:9}  on {since}{row['until'][:10]}{parent}"


def _tell(change: Any, as_json: bool) -> None:
    typer.echo(json.dumps(asdict(change)) if as_json else f"{change.version} is {change.stage} now")

"""`twins adapters list|release|load|rollback|withdraw|pin|unpin|compare`: which adapter answers for a segment."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from streams.errors import UsageError
from streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from streams.adapters.comparison import Comparison
    from twin_store.messages import AdapterRelease, AdapterVersion

RANK_MAX = 16

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Segment = Annotated[str, typer.Argument(help="The segment, as `twins adapters list` shows it.")]


def register(app: typer.Typer) -> None:
    """Add the `adapters` command group."""
    group = typer.Typer(
        no_args_is_help=True, help="Release language adapters by segment, compare, roll back."
    )
    group.command("list")(list_adapters)
    group.command("release")(release)
    group.command("load")(load)
    group.command("rollback")(rollback)
    group.command("withdraw")(withdraw)
    group.command("pin")(pin)
    group.command("unpin")(unpin)
    group.command("compare")(compare)
    app.add_typer(group, name="adapters")


def list_adapters(as_json: Json = False) -> None:
    """What serves each segment, and what the workers say of it."""
    from streams.adapters.overview import list_releases

    rows = list_releases(load_settings())
    for row in rows:
        typer.echo(json.dumps(row) if as_json else _line(row))
    if not as_json and not rows:
        typer.echo("no segment has an adapter; release one with `twins adapters release FOLDER`")


def release(
    folder: Annotated[str, typer.Argument(help="The adapter's version: a folder, or any fsspec URL of one.")],
    segment: Annotated[
        str | None, typer.Option(help="For whom; default: the segment that it was published for.")
    ] = None,
    shadow: Annotated[
        float | None,
        typer.Option(help="On trial: put this share of the queries to it too, and keep its answers apart."),
    ] = None,
    ab: Annotated[
        float | None, typer.Option(help="On trial: have it answer this share of the customers.")
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option(help="The folder of the base model, to check the adapter's weights against."),
    ] = None,
    rank_max: Annotated[int, typer.Option(min=1, help="The largest rank that the workers take.")] = RANK_MAX,
    decider: Annotated[
        str, typer.Option(help="Whose adapter it is: `vllm`, or `openai` behind HTTP.")
    ] = "vllm",
    as_json: Json = False,
) -> None:
    """Check an adapter and have it answer, or put it on trial. The workers take it up by themselves."""
    from streams.adapters.admission import admitted, segment_in
    from streams.adapters.desk import ReleaseDesk
    from twin_store.messages import Challenger
    from twin_store.segments import load_definitions

    mode, share = _trial(shadow, ab)
    version = admitted(folder, base, rank_max, _decider(decider))
    name = segment or segment_in(version.name or "")
    segments = load_definitions().names
    if name not in segments:
        known = ", ".join(segments)
        typer.echo(
            f"nobody will be asked by it: no twin is in a segment {name!r}; there are {known}", err=True
        )
    with ReleaseDesk(load_settings()) as desk:
        if share is None:
            _tell(desk.release(name, version), as_json)
        else:
            challenger = Challenger(**version.model_dump(), mode=mode, share=share)
            _tell(desk.challenge(name, challenger), as_json)


def load(
    segment: Segment,
    version: Annotated[
        str, typer.Argument(help="On trial, the one before, or any of the segment in the registry.")
    ],
    as_json: Json = False,
) -> None:
    """Have a version answer that is known already: how one that was on trial becomes the champion."""
    from streams.adapters.desk import ReleaseDesk

    settings = load_settings()
    with ReleaseDesk(settings) as desk:
        _tell(desk.release(segment, _known(settings, desk.known(segment), segment, version)), as_json)


def rollback(
    segment: Segment,
    trial: Annotated[bool, typer.Option("--trial", help="Only end the trial; the champion stays.")] = False,
    as_json: Json = False,
) -> None:
    """Have the version before answer again."""
    from streams.adapters.desk import ReleaseDesk

    with ReleaseDesk(load_settings()) as desk:
        _tell(desk.end_trial(segment) if trial else desk.roll_back(segment), as_json)


def withdraw(segment: Segment, as_json: Json = False) -> None:
    """Take a segment's adapters out of service: the base answers, as where there never was one."""
    from streams.adapters.desk import ReleaseDesk

    with ReleaseDesk(load_settings()) as desk:
        desk.withdraw(segment)
    said = {"segment": segment, "champion": None}
    typer.echo(json.dumps(said) if as_json else f"{segment}  has no release any more: the base answers")


def pin(segment: Segment, as_json: Json = False) -> None:
    """Keep a segment's adapters in the memory of the model."""
    _pin(segment, True, as_json)


def unpin(segment: Segment, as_json: Json = False) -> None:
    """Let them leave memory again when others are asked more."""
    _pin(segment, False, as_json)


def compare(
    segment: Segment,
    challenger: Annotated[
        str | None,
        typer.Option(help="Another version than the one on trial, such as one whose trial is over."),
    ] = None,
    mode: Annotated[
        str | None, typer.Option(help="How it was tried, `shadow` or `ab`; needed with --challenger.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Hold the version on trial against the champion, by what the customers then did."""
    from streams.adapters.comparison import compare as compare_answers
    from streams.adapters.releases import name_of, read_releases

    settings = load_settings()
    now = read_releases(settings).by_segment.get(segment)
    if now is None:
        raise UsageError(f"segment {segment!r} has no release; `twins adapters list` shows those that have")
    if challenger is None:
        if now.challenger is None:
            raise UsageError(f"no version of {segment} is on trial; name one with --challenger and --mode")
        challenger, mode = now.challenger.decider_version, now.challenger.mode
    if mode not in ("shadow", "ab"):
        raise UsageError("--mode is `shadow` or `ab`: how the challenger was tried")
    champion = name_of(now.champion, segment)
    other = f"{champion.rsplit('/', 1)[0]}/{challenger}"
    found = compare_answers(
        settings,
        f"{champion}@{now.decider_version}",
        f"{other}@{challenger}",
        "shadow" if mode == "shadow" else "ab",
    )
    if as_json:
        body = {"segment": segment, "champion": now.decider_version, "challenger": challenger, "mode": mode}
        typer.echo(json.dumps(body | {"comparisons": [asdict(each) for each in found]}, indent=2))
        return
    typer.echo(f"{segment}: {challenger} ({mode}) against {now.decider_version}")
    if not found:
        typer.echo("no outcomes yet of answers by both")
    for each in found:
        _print(each)


def _trial(shadow: float | None, ab: float | None) -> tuple[Literal["shadow", "ab"], float | None]:
    if shadow is not None and ab is not None:
        raise UsageError("a version is on trial either as --shadow or as --ab")
    share = ab if shadow is None else shadow
    if share is not None and not 0 < share <= 1:
        raise UsageError(f"a share is above 0 and at most 1, such as 0.1; it is {share}")
    return ("ab" if shadow is None else "shadow"), share


def _decider(text: str) -> Literal["vllm", "openai"]:
    if text == "vllm":
        return "vllm"
    if text == "openai":
        return "openai"
    raise UsageError(f"there is no decider {text!r} with adapters; known: vllm, openai")


def _known(settings: Settings, now: AdapterRelease | None, segment: str, version: str) -> AdapterVersion:
    from streams.adapters.admission import admitted
    from twin_store.messages import AdapterVersion

    for each in (now.challenger, now.previous, now.champion) if now else ():
        if each is not None and each.decider_version == version:
            return AdapterVersion(**{name: getattr(each, name) for name in AdapterVersion.model_fields})
    return admitted(f"{settings.models}/vllm/{segment}/{version}", None, RANK_MAX, "vllm")


def _pin(segment: str, pinned: bool, as_json: bool) -> None:
    from streams.adapters.desk import ReleaseDesk

    with ReleaseDesk(load_settings()) as desk:
        _tell(desk.pin(segment, pinned), as_json)


def _tell(release: AdapterRelease, as_json: bool) -> None:
    from streams.adapters.overview import describe

    row = describe(release, {})
    typer.echo(json.dumps(row) if as_json else _line(row))


def _line(row: dict[str, Any]) -> str:
    said = [f"{row['segment']}  release {row['number']}: {row['champion']}"]
    if row["challenger"]:
        said.append(
            f"on trial {row['challenger']['version']} ({row['challenger']['mode']} {row['challenger']['share']:g})"
        )
    if row["previous"]:
        said.append(f"before {row['previous']}")
    if row["pinned"]:
        said.append("pinned")
    lines = [", ".join(said)]
    for state in row["workers"]:
        why = f", {state['reason']}: {state['detail']}" if state["reason"] else ""
        lines.append(f"    {state['worker']}: {state['as']} {state['version']} {state['status']}{why}")
    return "\n".join(lines)


def _print(comparison: Comparison) -> None:
    answers, probabilities = comparison.answers, comparison.probabilities
    typer.echo(
        f"{comparison.kind}: {answers[0]:,} and {answers[1]:,} answers, "
        f"{probabilities[0]:,} and {probabilities[1]:,} probabilities"
    )
    for name, found in comparison.measures.items():
        if found.difference is None:
            typer.echo(f"  {name:9} has no value: all truths are alike")
            continue
        interval = "" if found.low is None else f"  ({found.low:+.4f} to {found.high:+.4f})"
        typer.echo(
            f"  {name:9} {found.champion:.4f}  {found.challenger:.4f}  {found.difference:+.4f}{interval}"
        )

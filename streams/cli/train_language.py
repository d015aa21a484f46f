"""`twins train base` and `twins train adapter`: a small base from scratch, and adapters over a base."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.errors import TwinsError, UsageError
from streams.settings import load_settings

if TYPE_CHECKING:
    from trainer.base_model import BaseModel
    from trainer.tasks.workshop import Workshop
    from trainer.training.config import TrainingConfig
    from twin_store.lake import Lake

SHELVES_WEEKS = 26  # displays and mailers are many: this much of them teaches enough
Until = Annotated[
    datetime | None,
    typer.Option(help="Nothing from this date on is read (UTC); default: all, to the newest receipt."),
]
LakeUrl = Annotated[str | None, typer.Option(help="The lake's URL; default: the deployment's.")]
SetUp = Annotated[str, typer.Option(help="`cpu-tiny`, `one-gpu`, `several-gpus`, or a TOML file.")]
Scale = Annotated[float, typer.Option(min=0.001, max=10, help="Cases and steps, times the usual.")]
Threads = Annotated[int, typer.Option(min=1, help="Of torch and LightGBM.")]


def base(
    out: Annotated[Path, typer.Option(help="The folder to make it in; it must be new or empty.")],
    size: Annotated[str, typer.Option(help="Which shape: `tiny` or `small`.")] = "tiny",
    until: Until = None,
    config: SetUp = "cpu-tiny",
    scale: Scale = 1.0,
    steps: Annotated[
        int | None, typer.Option(min=0, help="Of the optimiser; 0 leaves the base untrained.")
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(help="A text file to learn the tokenizer from, for an untrained base."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="The folder of the run; the same one goes on where it was cut off.")
    ] = None,
    lake: LakeUrl = None,
    seed: Annotated[int, typer.Option(help="The same seed and data give the same model.")] = 1,
    threads: Threads = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the model's name and hash as JSON.")] = False,
) -> None:
    """Make a small model of Qwen3's shape with its tokenizer, and train it on the decisions in the lake."""
    from trainer.tiny_base import SIZES, TinyBaseError, catalogue_lines, make_base
    from twin_store.lake import Lake, LakeError

    if size not in SIZES:
        raise UsageError(f"there is no size {size!r}; known: {', '.join(SIZES)}")
    say = _teller(as_json)
    metrics = {}
    try:
        if corpus is not None or steps == 0:
            events = None if corpus is not None else Lake(lake or load_settings().lake)
            lines = (
                corpus.read_text(encoding="utf-8").splitlines() if corpus else catalogue_lines(events)  # type: ignore[arg-type]
            )
            made: BaseModel = make_base(SIZES[size], lines, out, seed, say)
        else:
            made, metrics = _trained_base(
                out, run, Lake(lake or load_settings().lake), until,
                _set_up(config, scale, size, seed, steps), threads, say,
            )  # fmt: skip
    except (OSError, UnicodeDecodeError, TinyBaseError) as error:
        raise UsageError(str(error)) from None
    except LakeError as error:
        raise TwinsError(str(error)) from None
    typer.echo(f"base {made.name}, sha256 {made.sha256}", err=as_json)
    if as_json:
        found = {"name": made.name, "sha256": made.sha256, "folder": str(out), "metrics": metrics}
        print(json.dumps(found, indent=2))


def adapter(
    segment: Annotated[str, typer.Option(help="Whose: a segment of the definitions.")],
    base: Annotated[Path | None, typer.Option(help="The base's folder; default: TWINS_VLLM_MODEL.")] = None,
    until: Until = None,
    config: SetUp = "cpu-tiny",
    scale: Scale = 1.0,
    run: Annotated[
        Path | None, typer.Option(help="The folder of the run, where `result.json` is left.")
    ] = None,
    publish: Annotated[
        str, typer.Option(help="`passed`: only if the gate lets it; `always`: whatever the gate says.")
    ] = "passed",
    lake: LakeUrl = None,
    models: Annotated[str | None, typer.Option(help="The registry's URL; default: the deployment's.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed and data give the same adapter.")] = 1,
    threads: Threads = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a segment's adapter over a base, judge it against the evidence model on the last weeks, publish it."""
    if publish not in ("passed", "always"):
        raise UsageError(f"--publish {publish!r}: passed or always")
    settings = load_settings()
    folder = base or (Path(settings.vllm_model) if settings.vllm_model else None)
    if folder is None:
        raise UsageError("name the base: --base FOLDER, or TWINS_VLLM_MODEL")
    run_folder = run or Path(f"runs/{segment}-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    result = train_and_publish(
        segment, folder, until, _set_up(config, scale, None, seed, None), run_folder,
        publish == "always", lake or settings.lake, models or settings.models, threads, _teller(as_json),
    )  # fmt: skip
    if as_json:
        print(json.dumps(result, indent=2))


def train_and_publish(
    segment: str,
    base: Path,
    until: datetime | None,
    config: TrainingConfig,
    run_folder: Path,
    always: bool,
    lake: str,
    models: str,
    threads: int,
    say: Callable[[str], None],
) -> dict[str, object]:
    """The whole of an adapter's training; returns what `result.json` in the run's folder says."""
    from trainer.base_model import BaseModelError
    from trainer.gate.verdict import Guards
    from trainer.registry import Registry
    from trainer.training.adapter import train_adapter
    from trainer.training.publishing import publish_trained, write_result
    from trainer.training.runs import RunError
    from twin_store.lake import Lake, LakeError
    from twin_store.segments import load_definitions

    names = load_definitions().names
    if segment not in names:
        raise UsageError(f"there is no segment {segment!r}; there are {', '.join(names)}")
    try:
        with _threads(threads):
            workshop, end = _workshop(Lake(lake), until, say)
            trained = train_adapter(
                workshop, base, segment, config, run_folder, Guards(must_win=True), threads, say
            )
    except (BaseModelError, RunError) as error:
        raise UsageError(str(error)) from None
    except LakeError as error:
        raise TwinsError(str(error)) from None
    now = datetime.now(UTC)
    manifest = publish_trained(
        Registry(models), segment, trained, config, end, now, "always" if always else "passed"
    )
    result = write_result(run_folder, manifest, trained.verdict, trained.seconds)
    said = "passed" if trained.verdict.passed else "refused"
    where = "not published" if manifest is None else f"published as {manifest.decider} {manifest.version}"
    say(f"the gate: {said}; {where}; {run_folder / 'verdict.md'} says why")
    return result


def _trained_base(
    out: Path,
    run: Path | None,
    lake: Lake,
    until: datetime | None,
    config: TrainingConfig,
    threads: int,
    say: Callable[[str], None],
) -> tuple[BaseModel, dict[str, object]]:
    from trainer.tiny_base import catalogue_lines
    from trainer.training.decision_base import make_decision_base
    from trainer.training.runs import RunError

    try:
        with _threads(threads):
            workshop, _ = _workshop(lake, until, say)
            made = make_decision_base(
                workshop,
                catalogue_lines(lake),
                config,
                out,
                run or out.parent / f"{out.name}-run",
                threads,
                say,
            )
    except RunError as error:
        raise UsageError(str(error)) from None
    return made.base, made.metrics


def _workshop(lake: Lake, until: datetime | None, say: Callable[[str], None]) -> tuple[Workshop, datetime]:
    from trainer.tasks.history import History, NotEnoughHistoryError, after_the_newest
    from trainer.tasks.workshop import Workshop

    try:
        end = after_the_newest(lake) if until is None else until.replace(tzinfo=UTC)
        history = History.from_lake(lake, end, end - timedelta(weeks=SHELVES_WEEKS), say)
    except NotEnoughHistoryError as error:
        raise UsageError(str(error)) from None
    return Workshop(history, say), end


def _set_up(config: str, scale: float, size: str | None, seed: int, steps: int | None) -> TrainingConfig:
    from trainer.training.config import ConfigError, TrainingConfig

    try:
        found = TrainingConfig.named(config).times(scale)
    except ConfigError as error:
        raise UsageError(str(error)) from None
    base = replace(found.base, seed=seed, steps=found.base.steps if steps is None else steps)
    return replace(
        found,
        size=size or found.size,
        base=base,
        effort=replace(found.effort, seed=seed),
        cpt=replace(found.cpt, seed=seed),
        sft=replace(found.sft, seed=seed),
        grpo=replace(found.grpo, seed=seed),
    )


def _teller(as_json: bool) -> Callable[[str], None]:
    began = time.monotonic()
    return lambda line: typer.echo(f"{time.monotonic() - began:6.1f} s  {line}", err=as_json)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Have torch compute with so many threads; the libraries say no more of themselves than is asked."""
    import datasets
    import torch
    from transformers.utils import logging

    torch.set_num_threads(count)
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""`twins ask CUSTOMER`: one question about one customer, answered with its evidence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from streams.cli.replay import parse_instant
from streams.errors import UsageError
from streams.settings import Settings, load_settings
from streams.vllm_python import has_vllm, vllm_python, with_own_compiled
from twin_store.messages.codec import epoch_seconds
from twin_store.messages.decisions import QuestionKind

if TYPE_CHECKING:
    from streams.asking import Answer, Asked

KINDS = get_args(QuestionKind)
PLAIN_WIDTH = 120


def register(app: typer.Typer) -> None:
    """Add the `ask` command."""
    app.command("ask")(ask_command)


def ask_command(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")],
    sku: Annotated[list[str] | None, typer.Option(help="A product to ask about. Repeatable.")] = None,
    at: Annotated[
        str | None, typer.Option(help="As of this instant, all from the lake; default: as it stands.")
    ] = None,
    kind: Annotated[str, typer.Option(help=f"One of: {', '.join(KINDS)}.")] = "purchase",
    basket: Annotated[
        list[str] | None, typer.Option(help="Skus with commas: the basket to complete, or one to choose.")
    ] = None,
    campaign: Annotated[str | None, typer.Option(help="Whose vouchers are asked about.")] = None,
    store: Annotated[str | None, typer.Option(help="Where; default: the store she goes to most.")] = None,
    statement: Annotated[
        str | None, typer.Option(help="What a survey puts to her, or what a review should speak to.")
    ] = None,
    step: Annotated[list[str] | None, typer.Option(help="A step of a survey's scale. Repeatable.")] = None,
    decider: Annotated[
        str, typer.Option(help="evidence, or vllm: an engine for this one question, about a minute.")
    ] = "evidence",
    every: Annotated[bool, typer.Option("--every", help="Show all of the evidence.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Will she buy it on her next trip? The probability, who says so, and the evidence it rests on."""
    from streams.asking import Asked, ask

    if kind not in KINDS:
        raise UsageError(f"--kind {kind}: there are {', '.join(KINDS)}")
    if campaign is not None and kind == "purchase":
        kind = "voucher_redemption"
    asked = Asked(
        customer_id=customer,
        kind=kind,  # type: ignore[arg-type]
        skus=sku or (),
        baskets=[[each.strip() for each in one.split(",") if each.strip()] for one in basket or ()],
        campaign_id=campaign,
        store_id=store,
        at=None if at is None else epoch_seconds(parse_instant("--at", at)),
        statement=statement,
        scale=step or (),
    )
    settings = load_settings()
    if decider == "evidence":
        answer = ask(settings, asked)
    elif decider == "vllm":
        if not has_vllm():
            raise typer.Exit(_there(vllm_python(settings)))
        answer = _by_model(settings, asked)
    else:
        raise UsageError(f"--decider {decider}: there are evidence and vllm")
    if as_json:
        typer.echo(json.dumps(answer.as_json()))
    else:
        _print(answer, every)


def _there(python: str) -> int:
    """The same command by the Python that has vLLM; its exit code."""
    command = [python, "-m", "streams.cli", *sys.argv[1:]]
    return subprocess.run(command, env=with_own_compiled(os.environ), check=False).returncode


def _by_model(settings: Settings, asked: Asked) -> Answer:
    from streams.asking import ask
    from streams.asking_model import language_answerer

    def say(text: str) -> None:
        typer.echo(text, err=True)

    with language_answerer(settings, asked.at is None, say) as answerer:
        return ask(settings, asked, answerer=answerer)


def _print(answer: Answer, every: bool) -> None:
    from rich.console import Console

    from streams.answer_view import answer_view

    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    console.print(answer_view(answer, every))

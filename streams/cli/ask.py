"""`twins ask CUSTOMER`: one question about one customer, answered with its evidence."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from streams.cli.replay import parse_instant
from streams.errors import UsageError
from streams.settings import load_settings
from twin_store.messages.codec import epoch_seconds
from twin_store.messages.decisions import QuestionKind

if TYPE_CHECKING:
    from streams.asking import Answer

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
    )
    answer = ask(load_settings(), asked)
    if as_json:
        typer.echo(json.dumps(answer.as_json()))
    else:
        _print(answer, every)


def _print(answer: Answer, every: bool) -> None:
    from rich.console import Console

    from streams.answer_view import answer_view

    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    console.print(answer_view(answer, every))

"""`twins show CUSTOMER`: one customer's Shopping-DNA, as it stands or as of a moment."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from streams.cli.replay import parse_instant
from streams.errors import TwinsError
from streams.item_names import catalogue_items
from streams.live_profiles import find_profile
from streams.past_profiles import profile_as_of
from streams.settings import Settings, load_settings
from twin_store.messages import Profile
from twin_store.messages.codec import epoch_seconds

PLAIN_WIDTH = 120


def register(app: typer.Typer) -> None:
    """Add the `show` command."""
    app.command("show")(show)


def show(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")],
    at: Annotated[
        str | None, typer.Option(help="As of this instant, from the lake; default: as it stands.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the profile as it is published.")] = False,
) -> None:
    """Show what a customer's twin knows: activity, basket, preferences, regular items and when they are due."""
    settings = load_settings()
    if at is None:
        profile, names = _live(settings, customer, with_names=not as_json)
    else:
        profile, names = profile_as_of(settings, customer, epoch_seconds(parse_instant("--at", at)))
    if profile is None:
        place = "has a profile" if at is None else f"was known at {at}"
        raise TwinsError(f"no customer {customer!r} {place}; ids are those of the receipts")
    if as_json:
        typer.echo(profile.to_wire().decode())
        return
    from rich.console import Console

    from streams.dna_view import dna

    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    console.print(dna(profile, names, settings.currency))


def _live(settings: Settings, customer: str, *, with_names: bool) -> tuple[Profile | None, dict[str, str]]:
    profile = find_profile(settings, customer)
    if profile is None or not with_names:
        return profile, {}
    items = catalogue_items(settings, [item.sku for item in profile.dna.regulars])
    return profile, {sku: item.name for sku, item in items.items()}

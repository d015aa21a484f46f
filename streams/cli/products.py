"""`twins products rebuild|search|show`: the product index."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from streams.errors import TwinsError, UsageError
from streams.product_index import IndexReader
from streams.settings import Settings, load_settings
from twin_store.messages import RetrievedProduct
from twin_store.messages.base import format_instant
from twin_store.messages.codec import instant_of, minor_digits, to_minor, to_money
from twin_store.products import Product, ProductFilter, ProductIndexError
from twin_store.products.embedding import Embedder

OWNER = "command-line"
NEIGHBOURS = 5

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Count = Annotated[int, typer.Option("-k", min=1, max=1_000, help="At most this many products.")]
Store = Annotated[str | None, typer.Option("--store", help="Only products stocked at this store.")]
Section = Annotated[str | None, typer.Option("--section", help="Only products of this section.")]
MinPrice = Annotated[str | None, typer.Option("--min-price", help="Only products that cost at least this.")]
MaxPrice = Annotated[str | None, typer.Option("--max-price", help="Only products that cost at most this.")]


def register(app: typer.Typer) -> None:
    """Add the `products` command group."""
    group = typer.Typer(no_args_is_help=True, help="Search the product index, or build it again.")
    group.command("rebuild")(rebuild)
    group.command("search")(search)
    group.command("show")(show)
    app.add_typer(group, name="products")


def rebuild(as_json: Json = False) -> None:
    """Embed the whole catalogue again and publish every vector anew; the indexer must not run meanwhile."""
    from streams.index_rebuild import rebuild as rebuild_index

    done = rebuild_index(load_settings(), progress=lambda taken: _progress(f"{taken} catalogue records"))
    _progress("")
    if as_json:
        typer.echo(json.dumps(asdict(done)))
    else:
        typer.echo(
            f"{done.products} products, {done.texts} distinct texts embedded, {done.removed} removed, "
            f"{done.rejected} rejected, in {done.seconds:.1f} s"
        )


def search(
    text: Annotated[str, typer.Argument(help="What to look for.")],
    count: Count = 10,
    store: Store = None,
    section: Section = None,
    min_price: MinPrice = None,
    max_price: MaxPrice = None,
    as_json: Json = False,
) -> None:
    """Find the products whose texts are nearest to TEXT."""
    from streams.indexer import load_embedder

    settings = load_settings()
    where = ProductFilter(
        stocked_at=store,
        section=section,
        price_min=_minor("--min-price", min_price, settings),
        price_max=_minor("--max-price", max_price, settings),
    )
    with _reader(settings, load_embedder(settings)) as reader:
        hits = reader.retrieval.search_text(text, count, where)
    if as_json:
        typer.echo(json.dumps({"products": [hit.model_dump() for hit in hits]}))
    else:
        _print_hits(hits)


def show(
    sku: Annotated[str, typer.Argument(help="The product's number.")],
    as_json: Json = False,
) -> None:
    """Show what the index holds of a product, and the products most like it."""
    settings = load_settings()
    with _reader(settings) as reader:
        product = reader.index.get(sku)
        similar = reader.retrieval.similar_to(sku, NEIGHBOURS)
    if product is None:
        raise TwinsError(f"the product index does not have {sku!r}; has the indexer seen its catalogue item?")
    row = _row(product, settings)
    if as_json:
        typer.echo(json.dumps(row | {"similar": [hit.model_dump() for hit in similar]}))
        return
    for name, value in row.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        typer.echo(f"{name:<14}{'-' if shown in (None, '') else shown}")
    typer.echo("most like it:")
    _print_hits(similar)


@contextmanager
def _reader(settings: Settings, embedder: Embedder | None = None) -> Iterator[IndexReader]:
    """An index that has caught up with its topics."""
    reader = IndexReader(settings, OWNER, embedder)
    try:
        reader.catch_up()
        yield reader
    except ProductIndexError as error:
        raise TwinsError(str(error)) from error
    finally:
        reader.close()


def _row(product: Product, settings: Settings) -> dict[str, object]:
    """A product for people and for JSON; prices in major units."""
    digits = minor_digits(settings.currency)
    catalog, statistics = product.catalog, product.statistics
    return {
        "sku": product.sku,
        "name": catalog.name,
        "section": catalog.section,
        "item_type": catalog.item_type,
        "brand": catalog.brand,
        "updated_at": format_instant(instant_of(product.revision // 1000)),
        "price": None if product.price is None else to_money(product.price, digits),
        "list_price": None if catalog.list_price is None else to_money(catalog.list_price, digits),
        "stores": list(product.stores),
        "lines": statistics.lines if statistics else 0,
        "deal_share": statistics.deal_share if statistics else None,
    }


def _minor(option: str, money: str | None, settings: Settings) -> int | None:
    if money is None:
        return None
    try:
        return to_minor(money, minor_digits(settings.currency))
    except ArithmeticError:
        raise UsageError(f"{option}: {money!r} is not an amount of money such as 2.50") from None


def _print_hits(hits: list[RetrievedProduct]) -> None:
    for hit in hits:
        typer.echo(f"{hit.similarity:6.3f}  {hit.sku:<14}  {hit.name}")


def _progress(text: str) -> None:
    """One line on the terminal, written over and over; nothing where nobody watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()

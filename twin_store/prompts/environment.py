"""The environment of a question in words: the moment, the store, what its shelves say, what was retrieved."""

from collections.abc import Iterator, Mapping, Sequence

from twin_store.dna.rows import SECONDS_PER_DAY
from twin_store.messages.codec import FIRST_MONDAY
from twin_store.messages.decisions import Environment, ProductContext, RetrievedProduct
from twin_store.prompts.dna import PARTS_OF_DAY, WEEKDAYS
from twin_store.prompts.escaping import amount, quoted
from twin_store.prompts.sections import Line, Section

TITLE = "Environment"
RETRIEVED_SHOWN = 3  # LBM: top-3 by cosine
RETRIEVED, SHELF, STORE, MOMENT = (
    "environment.retrieved",
    "environment.shelf",
    "environment.store",
    "environment.moment",
)
_SECONDS_PER_HOUR = 3_600


def environment_section(environment: Environment, as_of: int, shown: Mapping[str, Sequence[str]]) -> Section:
    """The environment in lines of fixed order.

    Args:
        as_of: epoch seconds.
        shown: what each option of the prompt holds, skus by the option's letter; `""` for the one that has none.
    """
    return Section(TITLE, tuple(_lines(environment, as_of, shown)))


def _lines(environment: Environment, as_of: int, shown: Mapping[str, Sequence[str]]) -> Iterator[Line]:
    yield Line(MOMENT, f"moment: {_moment(as_of)}, UTC")
    if environment.store_id is not None:
        yield Line(STORE, f"store: {quoted(environment.store_id)}")
    said = {context.sku: context for context in environment.context}
    for letter, skus in shown.items():
        found = [said[sku] for sku in skus if sku in said]
        if found:
            label = f"shelf, {letter}" if letter else "shelf"
            yield Line(
                SHELF, f"{label}: {_shelf(found[0]) if len(skus) == 1 else _shelves(found, len(skus))}"
            )
    for rank, product in enumerate(nearest(environment.products), start=1):
        yield Line(
            f"{RETRIEVED}.{rank}", f"similar product: {quoted(product.name)}, {product.similarity:.2f} alike"
        )


def nearest(products: Sequence[RetrievedProduct]) -> list[RetrievedProduct]:
    """The retrieved products that are shown: those with the greatest cosine, equal ones by sku."""
    return sorted(products, key=lambda product: (-product.similarity, product.sku))[:RETRIEVED_SHOWN]


def _moment(as_of: int) -> str:
    weekday = WEEKDAYS[(as_of // SECONDS_PER_DAY - FIRST_MONDAY) % 7]
    hour = as_of % SECONDS_PER_DAY // _SECONDS_PER_HOUR
    return f"{weekday} {next(part for part, hours in PARTS_OF_DAY.items() if hour in hours)}"


def _shelf(context: ProductContext) -> str:
    said = [] if context.price is None else [f"price {amount(context.price)}"]
    said.append("on display" if context.display else "not on display")
    said.append("in the mailer" if context.mailer else "not in the mailer")
    return ", ".join(said)


def _shelves(found: Sequence[ProductContext], items: int) -> str:
    display, mailer = sum(c.display for c in found), sum(c.mailer for c in found)
    return f"{display} of {items} items on display, {mailer} in the mailer"

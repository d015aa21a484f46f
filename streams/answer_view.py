"""An answer on a terminal: the probabilities, who says so, and the evidence in words."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streams.asking import Answer
from twin_store.evidence import EVIDENCE

BAR_WIDTH = 30
SHOWN = 14
# What a person looks at first, of all the numbers; those that a question lacks are passed over.
FIRST = (
    *("item_days", "item_since", "item_interval", "item_due", "item_share", "item_is_last_of_type"),
    *("type_since", "type_share", "trip_since", "trip_interval", "display", "mailer", "popularity_1"),
    *("rebuy_rate", "rebuy_due", "taste", "history_affinity", "basket_affinity", "price_to_usual"),
    *("campaign_days", "campaign_rate", "voucher_known", "voucher_since", "voucher_share", "coupon_since"),
    *("items", "known_share", "known_types", "surprise_item", "item_share_best", "brand_share"),
)


def answer_view(answer: Answer, every: bool = False) -> RenderableType:
    """The whole answer; `every` shows all of the evidence."""
    shown: list[RenderableType] = [_title(answer), ""]
    if answer.told is not None and answer.told["text"] is not None:
        shown.append(Text(answer.told["text"]))
    shown += [_options(answer), "", _said_by(answer)]
    if answer.evidence:
        best = max(range(len(answer.probabilities)), key=answer.probabilities.__getitem__)
        shown += ["", _evidence(answer, best, every)]
    return Group(*shown)


def _title(answer: Answer) -> Text:
    title = Text(f"customer {answer.customer_id}", style="bold")
    place = f" in store {answer.store_id}" if answer.store_id else ""
    title.append(f"  {answer.kind.replace('_', ' ')}{place}, as of {answer.as_of}", style="dim")
    return title


def _options(answer: Answer) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    intervals = [f"{low:.1%} to {high:.1%}" for low, high in answer.intervals]
    for place, (option, probability) in enumerate(zip(answer.options, answer.probabilities, strict=True)):
        bar = Text("█" * round(BAR_WIDTH * probability) or "▏", style="green")
        interval = Text(intervals[place] if intervals else "", style="dim")
        table.add_row(f"{probability:6.1%}", interval, bar, option, answer.names.get(option, ""))
    return table


def _said_by(answer: Answer) -> Text:
    trained = f", trained on what happened before {answer.trained_until[:10]}" if answer.trained_until else ""
    said = Text(
        f"{answer.decider} {answer.version}{trained}; "
        f"the twin knew events until {answer.twin_as_of} (hash {answer.twin_hash[:12]})",
        style="dim",
    )
    if answer.told is not None:
        said.append(f"\n{_told(answer.told)}")
    if answer.abstains is not None:
        said.append(f"\nIt would rather not answer: {answer.abstains}.", style="yellow")
    if answer.degraded is not None:
        said.append(f"\nLess than it could be: {answer.degraded}.", style="yellow")
    if answer.foresees:
        said.append(
            "\nThis version was trained on what happened after the question: it may remember the outcome.",
            style="yellow",
        )
    return said


def _told(told: dict[str, Any]) -> str:
    """What a language model's answer rests on."""
    parts = [f"segment {told['segment']}", f"adapter {told['adapter'] or 'none: the base'}"]
    if told["joint_mass"]:
        parts.append(f"the answers had {min(told['joint_mass']):.1%} of the probability, or more")
    if told["likelihood"] is not None:
        parts.append(f"in words it said {told['likelihood']:.0%}")
    return "; ".join([*parts, f"prompt {told['prompt_hash'][:12]}"])


def _evidence(answer: Answer, option: int, every: bool) -> RenderableType:
    facts = {fact.name: fact for fact in EVIDENCE[answer.kind]}
    found = answer.evidence[option]
    order = [name for name in FIRST if name in found]
    order += [name for name in found if name not in order]
    chosen = order if every else order[:SHOWN]
    title = "evidence" if len(answer.options) == 1 else f"evidence on {answer.options[option]}"
    table = Table(box=None, pad_edge=False, header_style="dim", title=title, title_justify="left")
    for heading in (("name", "left"), ("value", "right"), ("unit", "left"), ("meaning", "left")):
        table.add_column(heading[0], justify=heading[1])
    for name in chosen:
        value = found[name]
        shown = f"{value:,.3g}" if value % 1 else f"{value:,.0f}"
        table.add_row(name, shown, facts[name].unit, facts[name].meaning)
    if len(chosen) == len(order):
        return table
    return Group(table, Text(f"and {len(order) - len(chosen)} more: --json, or --every", style="dim"))

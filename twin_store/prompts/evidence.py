"""The evidence in lines, one number a line, in the order of its columns (LBM's legible evidence)."""

from collections.abc import Container, Iterable, Mapping

import numpy as np

from twin_store.messages.decisions import QuestionKind
from twin_store.prompts.buckets import Buckets
from twin_store.prompts.families import FAMILY_OF
from twin_store.prompts.questions import ALONE
from twin_store.prompts.sections import Line, Section

TITLE = "Evidence"
# Up to 26 products are compared in one prompt: each is told by so many of its numbers, the most telling ones.
COMPLETION_NUMBERS = 16


def evidence_sections(
    kind: QuestionKind, evidence: np.ndarray | None, rows: Mapping[str, int], buckets: Buckets
) -> list[Section]:
    """What is said once, and for options with letters what is said of each.

    Args:
        evidence: [n, F], columns as `EVIDENCE_NAMES[kind]`; None where there is none.
        rows: by letter, the row of each option; `ALONE` for the only one.

    Raises:
        ValueError: the evidence is not of this kind, or lacks rows.
    """
    family = FAMILY_OF.get(kind)
    if evidence is None or family is None or not rows:
        return []
    if evidence.ndim != 2 or evidence.shape[1] != len(family.facts) or max(rows.values()) >= len(evidence):
        raise ValueError(
            f"evidence on {kind} is [n, {len(family.facts)}], a row an option; not {evidence.shape}"
        )
    lines = {letter: buckets.lines(family, evidence[row].tolist()) for letter, row in rows.items()}
    if ALONE in lines:
        return [_section(TITLE, lines[ALONE])]
    first, *_ = lines.values()
    own = [name for name in family.usefulness if name in dict(first) and name not in family.of_all_options]
    if kind == "basket_completion":
        own = own[:COMPLETION_NUMBERS]
    return [
        _section(TITLE, first, family.of_all_options),
        *(_section(f"{TITLE} on {letter}", found, own) for letter, found in lines.items()),
    ]


def evidence_key(name: str) -> str:
    """The key of the lines of one number."""
    return f"evidence.{name}"


def _section(title: str, lines: Iterable[tuple[str, str]], only: Container[str] | None = None) -> Section:
    return Section(
        title, tuple(Line(evidence_key(name), text) for name, text in lines if only is None or name in only)
    )

"""The pieces of a prompt that a token budget works on: titled sections of lines, each line with a key."""

from collections.abc import Container, Iterable
from typing import NamedTuple


class Line(NamedTuple):
    """One line of a prompt. Lines of one key are dropped together: one number, said of each option."""

    key: str
    text: str


class Section(NamedTuple):
    """Lines under a title; left out when none of them is left."""

    title: str
    lines: tuple[Line, ...]


def text_of(sections: Iterable[Section], dropped: Container[str] = ()) -> str:
    """The sections without the lines whose keys are dropped, a blank line between them."""
    parts = []
    for section in sections:
        kept = [line.text for line in section.lines if line.key not in dropped]
        if kept:
            parts.append("\n".join((section.title, *kept)))
    return "\n\n".join(parts)

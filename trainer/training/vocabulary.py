"""Whole lines as tokens: a small model reads a line of a prompt that is always the same as one word.

A line of evidence is one of seventeen texts (`Buckets`), our own words never change, so a prompt of 3,000 characters is
a hundred tokens. The text stays what it is, and any other model reads it by its own tokens.
"""

from twin_store.prompts import Buckets
from twin_store.prompts.answers import LETTERS
from twin_store.prompts.dna import PARTS_OF_DAY, WEEKDAYS
from twin_store.prompts.questions import ASK_YES_NO
from twin_store.prompts.rendering import SYSTEM
from twin_store.segments import Definitions

TITLES = (
    "Segment",
    "Environment",
    "Evidence",
    "Question",
    "Shopping-DNA",
    *(f"Evidence on {letter}" for letter in LETTERS[:6]),
)
ASKED = (
    "On her next trip, will this customer buy the product?",
    "The product is promoted now. On her next trip, will this customer buy it?",
    "This customer is sent a voucher. Will she redeem it before it ends?",
    "Which one of the products will this customer put in the basket next?",
    "One of the baskets is what this customer buys on her next trip. Which one?",
)


def fixed_lines(buckets: Buckets, definitions: Definitions) -> list[str]:
    """The texts that are one token each, always the same for the same arguments; most end their line."""
    segments = (definitions.fallback, *definitions.segments)
    moments = [f"moment: {day} {part}, UTC" for day in WEEKDAYS for part in PARTS_OF_DAY]
    flags = [
        f"{display}on display, {mailer}in the mailer" for display in ("", "not ") for mailer in ("", "not ")
    ]
    shelves = [f"shelf: {flag}" for flag in flags] + [
        f"shelf, {letter}: {flag}" for letter in LETTERS[:6] for flag in flags
    ]
    lines = [line for ladder in buckets.ladders() for line in ladder]
    whole = [*SYSTEM.splitlines(), *TITLES, *ASKED, *moments, *shelves, *lines]
    ends = [*(f"{segment.name}. {segment.text}" for segment in segments), ASK_YES_NO]
    asks = [f"Answer with one letter, A to {letter}." for letter in LETTERS[1:6]]
    return list(dict.fromkeys((*(f"{line}\n" for line in whole), *ends, *asks)))

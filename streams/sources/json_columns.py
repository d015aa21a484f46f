"""JSON text built in whole columns, for messages too many to make one object each."""

from __future__ import annotations

import polars as pl


def fill(template: str, *values: pl.Expr | str) -> pl.Expr:
    """`template` with each `{}` replaced by a value, as text; a string names a column; null if any is null.

    Unlike `pl.format` it takes other braces as they are. Values are not escaped: pass numbers, or text that
    is known to hold no quote, backslash or control character.
    """
    texts = template.split("{}")
    if len(texts) != len(values) + 1:
        raise ValueError(f"template has {len(texts) - 1} places for {len(values)} values: {template}")
    parts: list[pl.Expr] = [pl.lit(texts[0])]
    for value, text in zip(values, texts[1:], strict=True):
        parts.append(pl.col(value) if isinstance(value, str) else value)
        if text:
            parts.append(pl.lit(text))
    return pl.concat_str(parts)


def fill_if(condition: pl.Expr, template: str, *values: pl.Expr | str) -> pl.Expr:
    """As `fill` where the condition holds, else empty text: for a field that may be left out."""
    return pl.when(condition).then(fill(template, *values)).otherwise(pl.lit(""))


def money(minor: pl.Expr, digits: int = 2) -> pl.Expr:
    """Whole minor units, not negative, as a decimal string with so many digits after the point."""
    unit = 10**digits
    return fill("{}.{}", minor // unit, (minor % unit).cast(pl.String).str.zfill(digits))


def instant(seconds: pl.Expr) -> pl.Expr:
    """Epoch seconds as RFC 3339 in UTC."""
    return pl.from_epoch(seconds).dt.strftime("%Y-%m-%dT%H:%M:%SZ")

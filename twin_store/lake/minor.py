"""Wire units to inside units as polars expressions: the same numbers as `messages.codec`, a column at a time."""

import polars as pl

_WIRE_DIGITS = 4  # money has at most four digits after the point on the wire


def minor_units(money: pl.Expr, digits: int) -> pl.Expr:
    """Decimal strings to whole minor units of `digits` digits, half to even; null stays null."""
    scaled = money.str.to_decimal(scale=_WIRE_DIGITS).to_physical().cast(pl.Int64)
    divisor = 10 ** (_WIRE_DIGITS - digits)
    whole = scaled // divisor
    twice = (scaled - whole * divisor) * 2
    rounds_up = (twice > divisor) | ((twice == divisor) & (whole % 2 == 1))
    return whole + rounds_up.cast(pl.Int64)


def thousandths(quantity: pl.Expr) -> pl.Expr:
    """Quantities to whole thousandths, half to even."""
    return (quantity * 1000).round(0, mode="half_to_even").cast(pl.Int64)

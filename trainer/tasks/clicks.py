"""Next steps of sessions (Customer-R1): after so many clicks, what does she do next?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import polars as pl

from trainer.tasks.parts import part_of
from twin_store.lake import Lake
from twin_store.messages.events import ClickAction

ACTIONS: tuple[str, ...] = get_args(ClickAction)
END = "end"  # of the session: nothing follows


def next_steps(lake: Lake, start: int, end: int, bucket: int, cut: int) -> pl.DataFrame:
    """A row a step and an option: `label` is 1 for what followed. Clicks lie between the two moments.

    Options are the actions and `end`; evidence is how often each action came so far, the last two, and the seconds
    since the session's first.
    """
    first, last = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
    clicks = lake.scan_clicks(first, last, bucket=bucket).filter(pl.col("customer_id").is_not_null())
    by = ["customer_id", "session_id"]
    action = pl.col("action")
    steps = (
        clicks.select(*by, "event_id", "action", pl.col("occurred_at").dt.epoch("s").alias("second"))
        .unique("event_id", keep="first")
        .sort(*by, "second", "event_id")
        .with_columns(
            action.shift(-1).over(by).fill_null(END).alias("next"),
            action.shift(1).over(by).fill_null(END).alias("before"),
            (pl.col("second") - pl.col("second").first().over(by)).alias("e_elapsed"),
            *((action == name).cum_sum().over(by).alias(f"e_{name}") for name in ACTIONS),
            pl.int_range(pl.len()).over(by).alias("step"),
        )
        .collect()
    )
    if steps.is_empty():
        return pl.DataFrame()
    options = pl.DataFrame({"option": [*ACTIONS, END]})
    found = steps.join(options, how="cross").with_columns(
        pl.format("{}/{}/{}", *by, "step").alias("case"),
        pl.lit("next_step").alias("kind"),
        (pl.col("next") == pl.col("option")).cast(pl.Int64).alias("label"),
        pl.lit(1.0).alias("weight"),
        *((pl.col("option") == name).cast(pl.Int64).alias(f"e_is_{name}") for name in (*ACTIONS, END)),
        *((pl.col("action") == name).cast(pl.Int64).alias(f"e_last_{name}") for name in ACTIONS),
        *((pl.col("before") == name).cast(pl.Int64).alias(f"e_before_{name}") for name in ACTIONS),
    )
    parts = [part_of(c, s, cut) for c, s in found.select("customer_id", "second").iter_rows()]
    evidence = [name for name in found.columns if name.startswith("e_")]
    columns = ["case", "kind", "customer_id", "second", "option", "label", "weight", *evidence]
    return found.select(columns).with_columns(pl.Series("part", parts))

"""Decision tasks as tables on disk: drawn, asked and written block by block, so that memory does not grow with them.

A block is one of the lake's buckets of customers over a few weeks. A row is one thing that could come true, with the
evidence as of its moment, the question as JSON, its truth, and to which part of time and of the customers it belongs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trainer.tasks import matched
from trainer.tasks.cases import Case, of_other_customers
from trainer.tasks.clicks import next_steps
from trainer.tasks.history import History, NotEnoughHistoryError
from trainer.tasks.leakage import Control, controls, refuse_leaks
from trainer.tasks.parts import cut_of, part_of
from trainer.tasks.shop import Shop
from trainer.tasks.table import Table
from trainer.tasks.vouchers import voucher_cases
from trainer.tasks.workshop import WARM_UP_DAYS, Workshop
from twin_store.evidence import EVIDENCE_NAMES
from twin_store.lake import Lake
from twin_store.messages.codec import SECONDS_PER_DAY

BLOCK_WEEKS = 8
SHELVES = timedelta(weeks=26)
MANIFEST = "tasks.json"
Draw = Callable[[Shop, int, int, int, int], Iterator[Case]]
DRAWN: dict[str, Draw] = {
    # From all pools: were all that she did not buy hers, whatever is new to her would be known to be bought.
    "b1": matched.purchases,
    "b2-same-section": lambda shop, start, end, count, seed: matched.purchases(
        shop, start, end, count, seed + 1_000, "section"
    ),
    "b2-cross-section": lambda shop, start, end, count, seed: matched.purchases(
        shop, start, end, count, seed + 2_000, "elsewhere"
    ),
    "b3": lambda shop, start, end, count, seed: matched.completions(
        shop, start, end, count // matched.OPTIONS, seed
    ),
    "b4": matched.promotions,
    "trip": lambda shop, start, end, count, seed: matched.choices(shop, start, end, count // 2, seed),
}
TASKS = (*DRAWN, "voucher", "next-step")


@dataclass(frozen=True)
class Built:
    """What was written: rows and how many came true by task, and rows by part."""

    rows: dict[str, int]
    true: dict[str, int]
    parts: dict[str, int]
    until: str
    seed: int


def build_tasks(
    lake: Lake,
    until: datetime,
    folder: Path,
    each: int = 40_000,
    seed: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> Built:
    """Write the tables of all tasks into a new or empty folder, one Parquet file a task and block.

    Args:
        each: about how many rows of each task, of all customers.

    Raises:
        NotEnoughHistoryError: there is no receipt before `until`, or nothing could be drawn.
        FileExistsError: the folder holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} holds something; tables are never overwritten")
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, int] = dict.fromkeys(TASKS, 0)
    true: dict[str, int] = dict.fromkeys(TASKS, 0)
    parts: dict[str, int] = {}
    buckets = lake.format.buckets
    for bucket in range(buckets):
        history = _known(lake, until, bucket)
        if history is None:
            continue  # nobody of this bucket has come yet
        for name, number, frame in _blocks(lake, history, bucket, each // buckets, seed):
            frame.write_parquet(folder / f"{name}-{bucket}-{number}.parquet")
            rows[name] += frame.height
            true[name] += int(frame["label"].sum())
            for part, count in frame.group_by("part").len().iter_rows():
                parts[part] = parts.get(part, 0) + count
        say(f"bucket {bucket + 1} of {buckets}: {sum(rows.values()):,} rows")
    if not sum(rows.values()):
        raise NotEnoughHistoryError(
            f"no task could be drawn: the first {WARM_UP_DAYS} days only teach what is usual; "
            "replay or ingest more receipts, or choose a later date"
        )
    built = Built(rows, true, dict(sorted(parts.items())), until.isoformat(), seed)
    (folder / MANIFEST).write_text(json.dumps(asdict(built), indent=2))
    return built


def check_leakage(
    lake: Lake, until: datetime, seed: int = 1, each: int = 4_000, say: Callable[[str], None] = lambda _: None
) -> list[Control]:
    """Hold every task that is drawn in matched pairs against its controls, on about `each` rows of one bucket.

    Vouchers and next steps are not matched: who redeems much does so at any time, so there the controls say nothing.

    Raises:
        LeakageError: a control knows more than chance.
        NotEnoughHistoryError: there is no receipt before `until`.
    """
    found: dict[str, list[Control]] = {}
    known = ((bucket, _known(lake, until, bucket)) for bucket in range(lake.format.buckets))
    bucket, history = next(((b, h) for b, h in known if h is not None), (0, None))
    if history is None:
        raise NotEnoughHistoryError(f"the lake holds no receipts before {until.isoformat()}")
    workshop = Workshop(history)
    cut = cut_of(workshop.first_case, workshop.end)
    for name, draw in DRAWN.items():
        cases = list(draw(workshop.shop, workshop.first_case, workshop.end, each, seed + 1_000 * bucket))
        if not cases:
            continue
        rows = framed(workshop.table(cases), cases, cut)
        ordered = sorted(cases, key=lambda case: case.as_of)
        strangers = of_other_customers(ordered, seed)
        others = framed(workshop.table(strangers), strangers, cut)
        found[name] = controls(name, rows, others, seed)
        for control in found[name]:
            say(f"{name}, {control.name}: AUC {control.auc:.3f} (evidence {control.evidence_auc:.3f})")
    refuse_leaks(found)
    return [control for of_task in found.values() for control in of_task]


def _known(lake: Lake, until: datetime, bucket: int) -> History | None:
    try:
        return History.from_lake(lake, until, until - SHELVES, bucket=bucket)
    except NotEnoughHistoryError:
        return None


def read_tasks(folder: Path, name: str) -> pl.DataFrame:
    """The rows of one task, in order of time. Raises `FileNotFoundError` if there is none."""
    files = sorted(folder.glob(f"{name}-[0-9]*.parquet"))
    if not files:
        raise FileNotFoundError(f"{folder} has no rows of {name}")
    return pl.concat([pl.read_parquet(path) for path in files], how="diagonal").sort("second", "case")


def _blocks(
    lake: Lake, history: History, bucket: int, each: int, seed: int
) -> Iterator[tuple[str, int, pl.DataFrame]]:
    """(task, number of the block, rows)."""
    workshop = Workshop(history)
    starts = range(workshop.first_case, workshop.end, BLOCK_WEEKS * 7 * SECONDS_PER_DAY)
    cut = cut_of(workshop.first_case, workshop.end)
    for number, start in enumerate(starts):
        end = min(start + BLOCK_WEEKS * 7 * SECONDS_PER_DAY, workshop.end)
        count = max(1, each * (end - start) // max(1, workshop.end - workshop.first_case))
        for name, draw in DRAWN.items():
            cases = list(draw(workshop.shop, start, end, count, seed + 1_000 * bucket))
            if cases:
                yield name, number, framed(workshop.table(cases), cases, cut)
        steps = next_steps(lake, start, end, bucket, cut)
        if steps.height:
            yield "next-step", number, steps.head(count)
    bought = set(history.lines["customer_id"].unique().to_list())
    vouchers = [case for case in voucher_cases(history) if case.customer_id in bought]
    if vouchers:
        drawn = np.random.default_rng([seed, bucket]).permutation(len(vouchers))[:each]
        chosen = [vouchers[i] for i in sorted(drawn.tolist())]
        yield "voucher", 0, framed(workshop.table(chosen), chosen, cut)


def framed(table: Table, cases: list[Case], cut: int) -> pl.DataFrame:
    """A table with its cases as one frame: a row a label.

    Args:
        cut: the second from which on cases are held out.
    """
    ordered = sorted(cases, key=lambda case: case.as_of)
    questions = [_question(case) for case in ordered]
    of_case = table.cases
    customers = np.array([case.customer_id for case in ordered])[of_case]
    options = [option for case in ordered for option in _options(case)]
    return pl.DataFrame(
        {
            "case": [f"{case.customer_id}@{case.as_of}" for case in (ordered[i] for i in of_case.tolist())],
            "kind": [table.kind] * len(table),
            "customer_id": customers,
            "second": table.seconds,
            "option": options,
            "question": [questions[i] for i in of_case.tolist()],
            "label": table.labels,
            "weight": table.weights,
            "part": [part_of(c, s, cut) for c, s in zip(customers, table.seconds.tolist(), strict=True)],
            **{
                f"e_{name}": table.evidence[:, column]
                for column, name in enumerate(EVIDENCE_NAMES[table.kind])
            },
        }
    )


def _options(case: Case) -> list[str]:
    if case.kind == "voucher_redemption":
        return [case.subject.campaign_id or ""]
    return list(case.subject.candidates) or [str(place) for place in range(len(case.labels))]


def _question(case: Case) -> str:
    said: dict[str, Any] = {
        "subject": case.subject.model_dump(mode="json", exclude_defaults=True),
        "environment": case.environment.model_dump(mode="json", exclude_defaults=True),
    }
    return json.dumps(said, sort_keys=True)

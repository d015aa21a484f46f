"""Tasks on disk: every kind, as of their time, split twice, the same again, and loud when an answer leaks."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.trainer.small_town import OPENING
from tests.twin_store.lake.feed import Feed, new_writer
from trainer.tasks import build as building
from trainer.tasks.build import Built, build_tasks, check_leakage, read_tasks
from trainer.tasks.history import History, NotEnoughHistoryError
from trainer.tasks.leakage import LeakageError, controls, refuse_leaks
from trainer.tasks.parts import part_of
from twin_store.lake import Lake
from twin_store.messages import Click

EACH = 2_400


@pytest.fixture(scope="module")
def tables(town_lake: Lake, until: datetime, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Built]:
    folder = tmp_path_factory.mktemp("tasks") / "tables"
    return folder, build_tasks(town_lake, until, folder, EACH)


def test_every_kind_of_receipts_has_rows(tables: tuple[Path, Built]) -> None:
    folder, built = tables
    assert json.loads((folder / "tasks.json").read_text())["rows"] == built.rows
    for name in ("b1", "b2-same-section", "b2-cross-section", "b3", "b4", "trip", "voucher"):
        rows = read_tasks(folder, name)
        assert rows.height == built.rows[name] > 50, name
        assert rows["label"].sum() == built.true[name]
    paired = read_tasks(folder, "b2-cross-section")
    assert paired["label"].mean() == 0.5
    assert read_tasks(folder, "b3").group_by("case", "second").agg(pl.col("label").sum())["label"].max() >= 1


def test_where_wrong_products_come_from(tables: tuple[Path, Built]) -> None:
    folder, _ = tables
    section = pl.col("option").str.split("-").list.first()
    same = read_tasks(folder, "b2-same-section").with_columns(section.alias("section"))
    cross = read_tasks(folder, "b2-cross-section").with_columns(section.alias("section"))
    sections = [
        frame.group_by("case").agg(pl.col("section").n_unique())["section"].mean() for frame in (same, cross)
    ]
    assert sections[0] < sections[1]  # type: ignore[operator]
    mixed = read_tasks(folder, "b1").with_columns((pl.col("e_item_days") > 0).alias("hers"))
    # Neither what is new to her nor what is hers tells the answer.
    assert mixed.group_by("hers").agg(pl.col("label").n_unique())["label"].to_list() == [2, 2]


def test_a_row_is_split_by_time_and_by_customer(tables: tuple[Path, Built]) -> None:
    folder, built = tables
    rows = pl.concat(
        [read_tasks(folder, name).select("customer_id", "second", "part") for name in ("b1", "b4")]
    )
    fit = rows.filter(pl.col("part") == "fit")
    late = rows.filter(pl.col("part").is_in(["time", "both"]))
    strange = rows.filter(pl.col("part").is_in(["customers", "both"]))
    assert fit["second"].max() < late["second"].min()  # type: ignore[operator]
    assert not set(fit["customer_id"]) & set(strange["customer_id"])
    assert set(built.parts) == {"fit", "time", "customers", "both"}
    assert part_of("anybody", 5, 5) in ("time", "both")


def test_the_same_seed_gives_the_same_tables(
    tables: tuple[Path, Built],
    town_lake: Lake,
    until: datetime,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, built = tables
    monkeypatch.setattr(building, "DRAWN", {"b3": building.DRAWN["b3"]})
    assert build_tasks(town_lake, until, tmp_path / "again", EACH).true["b3"] == built.true["b3"]
    for path in sorted(folder.glob("b3-*.parquet")):
        assert pl.read_parquet(path).equals(pl.read_parquet(tmp_path / "again" / path.name))
    with pytest.raises(FileExistsError, match="never overwritten"):
        build_tasks(town_lake, until, folder, EACH)


def test_a_bucket_knows_the_market_of_everybody(town_lake: Lake, until: datetime, history: History) -> None:
    one = History.from_lake(town_lake, until, OPENING, bucket=0)
    assert 0 < one.lines["customer_id"].n_unique() < history.lines["customer_id"].n_unique()
    by = ["sku", "week"]
    assert one.weekly().sort(by).equals(history.weekly().sort(by))
    both = ["sku", "store_id"]
    assert one.listed().sort(both).equals(history.listed().sort(both))


def test_controls_know_nothing_of_honest_tasks(town_lake: Lake, until: datetime) -> None:
    found = check_leakage(town_lake, until, each=2_400)
    assert {control.name for control in found} == {"shuffled time", "wrong customer", "popularity only"}
    assert all(control.holds for control in found)
    assert max(control.evidence_auc for control in found) > 0.7


def test_an_answer_in_the_question_is_refused_loudly(tables: tuple[Path, Built]) -> None:
    rows = read_tasks(tables[0], "b2-cross-section")
    noise = np.random.default_rng(0).normal(0, 0.3, rows.height)
    leaky = rows.with_columns(pl.Series("e_popularity_1", rows["label"].to_numpy() + noise))
    found = controls("b2-cross-section", leaky, leaky)
    assert {control.name for control in found if not control.holds} == {"wrong customer", "popularity only"}
    with pytest.raises(LeakageError, match=r"popularity only: AUC 0\.9"):
        refuse_leaks({"b2": found})
    constant = rows.with_columns(label=pl.lit(1))
    assert controls("b1", constant, None) == []


def test_what_a_customer_always_answers_is_seen_by_the_time_control(tables: tuple[Path, Built]) -> None:
    rows = read_tasks(tables[0], "b2-cross-section")
    by_customer = (pl.col("customer_id").hash(seed=1) % 2).cast(pl.Int64)
    always = rows.with_columns(by_customer.alias("label"), by_customer.cast(pl.Float64).alias("e_known"))
    (shuffled, *_) = controls("b2", always, None)
    assert shuffled.name == "shuffled time"
    assert not shuffled.holds


def test_a_leak_stops_the_building(town_lake: Lake, until: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    framed = building.framed

    def leaking(table: object, cases: object, cut: int) -> pl.DataFrame:
        rows = framed(table, cases, cut)  # type: ignore[arg-type]
        return rows.with_columns(pl.col("label").cast(pl.Float64).alias("e_popularity_1"))

    monkeypatch.setattr(building, "framed", leaking)
    monkeypatch.setattr(building, "DRAWN", {"b1": building.DRAWN["b1"]})
    with pytest.raises(LeakageError, match="b1, wrong customer"):
        check_leakage(town_lake, until, each=2_000)


def test_an_empty_past_is_said(town_lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(NotEnoughHistoryError, match="no receipts"):
        check_leakage(town_lake, OPENING)
    with pytest.raises(NotEnoughHistoryError, match="no task could be drawn"):
        build_tasks(town_lake, OPENING + timedelta(days=20), tmp_path / "tables", EACH)


def test_next_steps_of_sessions(tmp_path: Path) -> None:
    from trainer.tasks.clicks import next_steps

    feed = Feed()
    actions = ("search", "view", "add_to_cart")
    for number, action in enumerate(actions):
        click = Click.model_validate(
            {
                "event_id": f"e{number}",
                "session_id": "s1",
                "customer_id": "c1",
                "action": action,
                "occurred_at": OPENING + timedelta(seconds=30 * number),
            }
        )
        feed.publish("clicks", "c1", click.to_wire())
    feed.drain(new_writer(str(tmp_path / "lake")))
    lake = Lake(str(tmp_path / "lake"))
    start = int(OPENING.timestamp())
    found = pl.concat(
        [
            rows
            for b in range(lake.format.buckets)
            if (rows := next_steps(lake, start, start + 600, b, start)).height
        ]
    )
    true = found.filter(pl.col("label") == 1).sort("second")
    assert true["option"].to_list() == ["view", "add_to_cart", "end"]
    assert true["e_elapsed"].to_list() == [0, 30, 60]
    assert true["e_view"].to_list() == [0, 1, 1]
    assert found.height == 3 * 7

"""The table that `make bench` prints."""

from benchmarks.table import Row, render, rows_of

UPDATER = {
    "lines_per_s": 300_000,
    "seconds_with_products": 8.0,
    "cpu_us_per_line_with_products": 5.5,
    "cpu_us_per_line": 3.0,
    "seconds": 4.9,
    "first_tenth_us_per_line": 3.0,
    "last_tenth_us_per_line": 3.3,
    "last_to_first_tenth": 1.1,
    "memory_peak_mib": 900,
    "state_bytes_per_customer": 19_000,
}
QUIX = {"version": "3.28.1", "seconds": 60.0, "share_of_receipts": 0.4, "lines_per_s": 10_000}


def test_a_figure_stands_beside_its_target_and_its_rival() -> None:
    rows = rows_of({"updater": UPDATER, "rival_quix": QUIX})
    assert rows[0] == Row("updater, one process on one core", "300,000 lines/s", ">= 150,000", "2.00")
    assert (rows[-1].figure, rows[-1].ratio) == ("10,000 lines/s", "30.0")


def test_a_rival_alone_has_no_ratio() -> None:
    assert [row.ratio for row in rows_of({"rival_quix": QUIX})] == [""]


def test_the_language_models_figures_stand_beside_theirs() -> None:
    offline = {"answers_per_s": 26.0, "prefix_hits": 0.8}
    pool = {
        "worker": {"answers_per_s": 25.0, "prefix_hits": 0.75}, "offline_in_the_workers_order": [offline, offline],
        "offline_at_random": {"answers_per_s": 9.8, "prefix_hits": 0.28}, "prompt_tokens_mean": 1_366,
        "kafka_to_offline": 0.962,
    }  # fmt: skip
    outage = {
        "away_s": 85.2, "queries": 900, "lost": 0, "doubled": 0, "by_evidence_unmarked": 0, "drained_s": None,
        "waiting_before": 4, "waiting_most": 60, "before_ms_p50": 300, "away_ms_p50": 20, "after_ms_p50": 310,
    }  # fmt: skip
    swap = {
        "swaps": 20, "quiet_ms_p99": 1_228.0, "swapping_ms_p99": 1_220.0, "p99_ratio": 0.99,
        "one_adapter_answers_per_s": 50.0, "eight_adapters_answers_per_s": 51.0, "eight_to_one": 1.02,
    }  # fmt: skip
    rows = rows_of({"pool": pool, "swap": swap, "outage": outage})
    assert [row.ratio for row in rows] == ["0.96", "1.25", "0.99", "1.02", "", "", ""]
    assert [row.figure for row in rows][4:6] == ["0, 0, 0", "never"]


def test_columns_line_up() -> None:
    lines = render([Row("a", "1 ms", "<= 2 ms", "2.00"), Row("something longer", "12 ms")]).splitlines()
    assert len({len(line) for line in lines}) == 1

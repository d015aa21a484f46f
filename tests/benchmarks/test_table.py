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


def test_columns_line_up() -> None:
    lines = render([Row("a", "1 ms", "<= 2 ms", "2.00"), Row("something longer", "12 ms")]).splitlines()
    assert len({len(line) for line in lines}) == 1

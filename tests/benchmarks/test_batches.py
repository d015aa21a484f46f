"""What batches add up to."""

import pytest

from benchmarks.batches import Batch, add_up, cost_of_tenths


def test_a_run_lasts_from_the_first_batch_of_any_member_to_the_last_commit_of_any() -> None:
    one = [Batch(10.0, 11.0, 5.0, 5.5, 1_000), Batch(11.5, 13.0, 5.6, 6.5, 2_000)]
    two = [Batch(10.5, 14.0, 1.0, 3.0, 3_000)]
    run = add_up([one, two, []])
    assert (run.lines, run.seconds, run.cpu_s) == (6_000, 4.0, 3.5)
    assert run.lines_per_s == 1_500
    assert run.cpu_us_per_line == pytest.approx(3.5e6 / 6_000)


def test_tenths_are_cut_out_of_batches_that_do_not_end_there() -> None:
    batches = [Batch(0, 1, 2.0, 3.0, 5_000), Batch(1, 2, 3.0, 5.0, 5_000)]
    assert cost_of_tenths(batches) == pytest.approx((200.0, 400.0))


def test_what_happens_between_batches_belongs_to_the_next() -> None:
    batches = [Batch(0, 1, 0.0, 1.0, 100), Batch(1, 2, 1.5, 2.0, 900)]
    assert cost_of_tenths(batches)[1] == pytest.approx(1e6 / 900)


def test_ticks_are_apart_from_the_tenths() -> None:
    batches = [Batch(0, 1, 0.0, 2.0, 500), Batch(1, 2, 2.0, 7.0, 500, tick_cpu_s=3.0)]
    assert cost_of_tenths(batches) == pytest.approx((4e3, 4e3))

"""The newest Customer message: whichever comes first, and as of any moment."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twin_store.dna.histories import START_DAY, fold
from tests.twin_store.dna.oracle import Click
from twin_store.dna.binary import Delta, apply_delta, read_delta, read_twin, write_delta, write_twin
from twin_store.dna.layout import CLICK_COLUMNS, RECEIPT_COLUMNS, VIEW
from twin_store.dna.rows import empty
from twin_store.dna.twin import Twin, fold_about, merge, rewind
from twin_store.messages.codec import SECONDS_PER_DAY

SECOND = START_DAY * SECONDS_PER_DAY
messages = st.lists(st.tuples(st.binary(min_size=1, max_size=3), st.integers(1, 4)), min_size=1, max_size=6)


@settings(deadline=None)
@given(messages, st.data())
def test_any_order_and_any_parts_keep_the_same_message(
    sent: list[tuple[bytes, int]], data: st.DataObject
) -> None:
    def told(some: list[tuple[bytes, int]]) -> Twin:
        twin = Twin()
        for body, second in some:
            twin = fold_about(twin, body, second)
        return twin

    newest = told(sent)
    assert (newest.about_second, newest.about) == max((second, body) for body, second in sent)
    shuffled = told(data.draw(st.permutations([*sent, *sent])))
    cut = data.draw(st.integers(0, len(sent)))
    for twin in (shuffled, merge(told(sent[:cut]), told(sent[cut:])), merge(told(sent[cut:]), told(sent))):
        assert (twin.about, twin.about_second) == (newest.about, newest.about_second)


def test_an_older_or_equal_message_changes_nothing() -> None:
    twin = fold_about(Twin(), b"b", 9)
    assert fold_about(twin, b"z", 8) is twin
    assert fold_about(twin, b"a", 9) is twin
    assert fold_about(twin, b"b", 9) is twin


def test_rewinding_forgets_a_message_from_later_also_where_no_event_came_after() -> None:
    twin = fold_about(fold(Twin(), [Click(1, SECOND, 1, VIEW)]), b"{}", SECOND + 10)
    assert rewind(twin, SECOND + 10) is twin
    before = rewind(twin, SECOND + 9)
    assert (before.about, before.about_second) == (b"", 0)
    assert before.content_hash() == fold(Twin(), [Click(1, SECOND, 1, VIEW)]).content_hash()


def test_bytes_carry_the_message() -> None:
    twin = fold_about(Twin(), "{é}".encode(), SECOND)
    back = read_twin(write_twin(twin, 24))
    assert (back.about, back.about_second) == (twin.about, SECOND)
    delta = Delta(empty(RECEIPT_COLUMNS), empty(CLICK_COLUMNS), b"new", SECOND + 1)
    newer = apply_delta(twin, read_delta(write_delta(delta, 25)))
    assert (newer.about, newer.about_second) == (b"new", SECOND + 1)

"""Definitions of segments: what ships, and what is refused with its place."""

import re
from importlib import resources

import pytest

from twin_store.segments import CURRENT, Definitions, SegmentDefinitionError, load_definitions
from twin_store.segments.numbers import NUMBER_NAMES, PERIODS_MAX

GOOD = """
name = "shops-2"
version = 2
window = 3
memory = 4
[fallback]
name = "new"
text = "New here."
until_days = 28
[[segments]]
name = "often"
text = "Often here."
[[segments.rules]]
number = "trips_month"
side = "above"
enter = 6.0
leave = 5.0
[[segments]]
name = "rest"
text = "Sometimes here."
"""


def test_every_shipped_version_loads_by_its_name() -> None:
    folder = resources.files("twin_store.segments")
    shipped = [entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml")]
    assert CURRENT in shipped
    for name in shipped:
        found = load_definitions(name)
        assert (found.name, found.needs_catalogue) == (name, False)
        assert [found.segment(each).name for each in found.names] == list(found.names)


def test_a_version_that_is_not_there_is_refused_by_name() -> None:
    for name in ("personas-99", "", "../personas-1", "personas-1.toml"):
        with pytest.raises(
            SegmentDefinitionError, match=rf"no segments '{re.escape(name)}'; there are .*personas-1"
        ):
            load_definitions(name)


def test_good_definitions_are_read() -> None:
    found = Definitions.from_toml(GOOD)
    assert found.names == ("new", "often", "rest")
    assert found.segment("often").text == "Often here."
    assert found.rules.until_days == 28
    assert found.rules.number.tolist() == [NUMBER_NAMES.index("trips_month")]
    with pytest.raises(KeyError):
        found.segment("elsewhere")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("name = ", "name == ", "no TOML: .*line 2"),
        ('number = "trips_month"', 'number = "trips_moth"', r"rules\[0\]: there is no number 'trips_moth'"),
        ("leave = 5.0", "leave = 6.0", r"rules\[0\]: leave must be less than enter for trips_month above 6"),
        ('side = "above"', 'side = "below"', "leave must be greater than enter for trips_month below 6"),
        ('side = "above"', 'side = "over"', r"rules\[0\].side: "),
        ("enter = 6.0", "enter = nan", r"rules\[0\].enter: "),
        ("enter = 6.0", 'enter = "6"', r"rules\[0\].enter: "),
        ("leave = 5.0", "", r"rules\[0\].leave: Field required"),
        ("leave = 5.0", "leave = 5.0\nlaeve = 4.0", r"rules\[0\].laeve: Extra inputs"),
        ("version = 2", "version = 3", "the name 'shops-2' must end in its version, -3"),
        ('"shops-2"', '"shops"', "the name 'shops' must end in its version, -2"),
        ("window = 3", f"window = {PERIODS_MAX}", f"more than the {PERIODS_MAX} periods a twin holds"),
        ("memory = 4", "memory = 1", "memory: "),
        ("until_days = 28", "until_days = 0", "fallback.until_days: "),
        ('name = "rest"', 'name = "often"', "two segments have one name"),
        ('name = "rest"', 'name = "Rest of all"', r"segments\[1\].name: "),
        ("Often here.", "Often <|im_end|> here.", r"segments\[0\].text: "),
        ('name = "rest"', 'name = "rest"\nlife_stages = ["single"]', "rest is the last and must take"),
        ("[[segments.rules]]", '[[segments]]\nname = "b"\ntext = "B."\n[[segments.rules]]', "often has no rule: only"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(old: str, new: str, reason: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(SegmentDefinitionError, match=reason) as caught:
        Definitions.from_toml(GOOD.replace(old, new, 1))
    assert "\n" not in str(caught.value)

"""Set-ups as TOML: each named one can be read, and what no stage has is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.training.config import NAMES, ConfigError, TrainingConfig


@pytest.mark.parametrize("name", NAMES)
def test_every_named_set_up_can_be_read(name: str) -> None:
    found = TrainingConfig.named(name)
    assert found.grpo.scale_rewards in ("batch", "none")
    assert found.sft.devices == ("cpu" if name == "cpu-tiny" else "auto")


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('kinds = ["purchase", "trip_choice"]\n[sft]\nsteps = 7\nrate = 1\n')
    found = TrainingConfig.named(str(path))
    assert (found.kinds, found.sft.steps, found.sft.rate) == (("purchase", "trip_choice"), 7, 1)
    assert found.base == TrainingConfig().base


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[sft]\nsteeps = 3", r"sft\.steeps"),
        ('[sft]\nsteps = "many"', r"sft\.steps"),
        ("[nothing]\nx = 1", "nothing"),
        ('kinds = "purchase"', "kinds"),
        ("kinds = [", "no TOML"),
    ],
)
def test_what_no_stage_has_is_named(text: str, place: str) -> None:
    with pytest.raises(ConfigError, match=place):
        TrainingConfig.from_toml(text)


def test_a_set_up_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="cpu-tiny"):
        TrainingConfig.named("/no/such/file.toml")


def test_less_of_everything_is_still_something() -> None:
    found = TrainingConfig.named("cpu-tiny").times(0.001)
    assert found.base.steps == found.sft.steps == 1
    assert found.grpo.steps == 0

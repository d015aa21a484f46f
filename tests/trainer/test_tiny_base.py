"""The base that is made from scratch: a real model's folder, the same one again, with answers of one token."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli.main import build
from streams.errors import UsageError
from trainer.base_model import BaseModel, BaseModelError
from trainer.chat_format import EMPTY_THINK, IM_END, IM_START, LETTERS
from trainer.deciders.vllm.settings import ADAPTABLE
from trainer.deciders.vllm.tokens import ModelTokens
from trainer.tiny_base import SIZES, TinyBaseError, catalogue_lines, make_base
from twin_store.lake import Lake

LINES = [f"whole milk {number} ounces, dairy, brand {number % 7}" for number in range(200)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    return make_base(SIZES["tiny"], LINES, tmp_path_factory.mktemp("bases") / "first", seed=1)


def test_the_same_text_and_seed_give_the_same_files(base: BaseModel, tmp_path: Path) -> None:
    again = make_base(SIZES["tiny"], LINES, tmp_path / "again", seed=1)
    assert again.sha256 == base.sha256
    assert {path.name: path.read_bytes() for path in again.folder.iterdir()} == {
        path.name: path.read_bytes() for path in base.folder.iterdir()
    }
    assert make_base(SIZES["tiny"], LINES, tmp_path / "other", seed=2).sha256 != base.sha256
    assert (
        make_base(SIZES["tiny"], [*LINES, *["soap and tea"] * 5], tmp_path / "text", seed=1).sha256
        != base.sha256
    )


def test_it_is_a_qwen3_in_safetensors_alone(base: BaseModel) -> None:
    config = json.loads((base.folder / "config.json").read_text())
    assert (config["architectures"], config["hidden_size"]) == (["Qwen3ForCausalLM"], 128)
    assert {path.suffix for path in base.folder.iterdir()} == {".json", ".safetensors", ".jinja"}
    assert base.embeddings == {"model.embed_tokens"}
    assert base.linears["model.layers.1.self_attn.q_proj"] == (128, 128)
    assert {name.rsplit(".", 1)[-1] for name in base.linears} == set(ADAPTABLE)
    without_embedding = sum(outputs * inputs for outputs, inputs in base.linears.values())
    full = without_embedding + SIZES["tiny"].tokens * 128
    assert 0.75e6 < full < 0.85e6


def test_answers_are_one_token_each(base: BaseModel) -> None:
    tokens = ModelTokens.of(base.folder)
    answers = [*tokens.yes, *tokens.no, *tokens.letters]
    assert len(set(answers)) == len(answers) == 2 + len(LETTERS)
    assert [tokens.tokenizer.decode([token]) for token in answers] == ["YES", "NO", *LETTERS]
    assert tokens.encode("is it YES\nYES")[-1:] == list(tokens.yes)


def test_text_comes_back_as_it_was(base: BaseModel) -> None:
    tokens = ModelTokens.of(base.folder)
    for text in (
        "whole milk",
        "Käse 1,99 €\n\tin bulk",
        "牛奶",
        f"{IM_START}user\nhello{IM_END}\n{EMPTY_THINK}",
    ):
        assert tokens.tokenizer.decode(tokens.encode(text), skip_special_tokens=False) == text


def test_what_is_trained_begins_with_what_is_served(base: BaseModel) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(base.folder)
    asked = [{"role": "system", "content": "You shop."}, {"role": "user", "content": "Will you?"}]
    answered = [*asked, {"role": "assistant", "content": "YES"}]
    served = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    trained = tokenizer.apply_chat_template(answered, tokenize=False)
    assert served.endswith(f"{IM_START}assistant\n{EMPTY_THINK}")
    assert trained == f"{served}YES{IM_END}\n"
    marked = tokenizer.apply_chat_template(
        answered, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    learnt = [
        token for token, mark in zip(marked["input_ids"], marked["assistant_masks"], strict=True) if mark
    ]
    assert tokenizer.decode(learnt) == f"YES{IM_END}"
    assert marked["input_ids"] == ModelTokens.of(base.folder).encode(trained)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(TinyBaseError, match="never overwritten"):
        make_base(SIZES["tiny"], LINES, tmp_path, seed=1)
    with pytest.raises(TinyBaseError, match="no text"):
        make_base(SIZES["tiny"], [" "], tmp_path / "new", seed=1)


def test_a_folder_that_is_no_model_is_named(base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"config\.json"):
        BaseModel.read(tmp_path)
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((base.folder / name).read_bytes())
    with pytest.raises(BaseModelError, match="safetensors"):
        BaseModel.read(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((base.folder / "model.safetensors").read_bytes()[:-1])
    with pytest.raises(BaseModelError, match="header"):
        BaseModel.read(tmp_path)


def call(*arguments: str) -> str:
    command = ["train", "base", *arguments]
    done = CliRunner().invoke(build(command), command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_makes_one_from_a_text_file(base: BaseModel, tmp_path: Path) -> None:
    corpus = tmp_path / "lines.txt"
    corpus.write_text("\n".join(LINES))
    out = tmp_path / "model"
    made = json.loads(call("--size", "tiny", "--out", str(out), "--corpus", str(corpus), "--json"))
    assert made == {"name": "model", "sha256": base.sha256, "folder": str(out), "metrics": {}}


def test_the_command_makes_one_from_the_catalogue_in_the_lake(town_lake: Lake, tmp_path: Path) -> None:
    url = town_lake.log.storage.full("")
    assert "sha256" in call("--out", str(tmp_path / "model"), "--lake", url, "--steps", "0")
    lines = catalogue_lines(town_lake)
    assert lines == sorted(set(lines))
    name = town_lake.scan_catalog().collect()["name"][0]
    assert any(name.lower() in line for line in lines)


@pytest.mark.parametrize("arguments", [["--size", "vast"], ["--corpus", "/nowhere/at/all.txt"]])
def test_wrong_use_is_said_in_a_line(tmp_path: Path, arguments: list[str]) -> None:
    command = ["train", "base", "--out", str(tmp_path / "model"), *arguments]
    with pytest.raises(UsageError):
        CliRunner().invoke(build(command), command, catch_exceptions=False)

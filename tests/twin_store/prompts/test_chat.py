"""The template: bytes fixed, markers kept to itself, a tokenizer's own template asked not to think."""

from typing import Any

import pytest

from twin_store.prompts import ChatMessage, as_dicts, as_text, as_text_of, prompt_hash, with_answer

MESSAGES = (ChatMessage("system", "You are a twin."), ChatMessage("user", "Question\nMilk?"))
TEXT = (
    "<|im_start|>system\nYou are a twin.<|im_end|>\n"
    "<|im_start|>user\nQuestion\nMilk?<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n"
)


class Tokenizer:
    """A tokenizer that notes how its template is applied."""

    def __init__(self, chat_template: str | None) -> None:
        self.chat_template = chat_template
        self.options: dict[str, Any] = {}

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> str:
        self.options = options
        return "|".join(message["content"] for message in conversation)


def test_the_prompt_is_chatml_with_an_empty_thought() -> None:
    assert as_text(MESSAGES) == TEXT


def test_the_training_text_is_the_prompt_and_its_answer() -> None:
    assert with_answer(MESSAGES, "YES") == TEXT + "YES<|im_end|>\n"


@pytest.mark.parametrize("marker", ["<|im_start|>", "<|im_end|>", "<think>", "</think>"])
def test_a_marker_in_a_message_is_refused(marker: str) -> None:
    with pytest.raises(ValueError, match="marker of the chat template"):
        as_text((*MESSAGES[:1], ChatMessage("user", f"Milk{marker}?")))
    with pytest.raises(ValueError, match="marker of the chat template"):
        with_answer(MESSAGES, f"YES{marker}")


def test_a_tokenizer_renders_by_its_own_template() -> None:
    tokenizer = Tokenizer("{% if enable_thinking is false %}")
    assert as_text_of(tokenizer, MESSAGES) == "You are a twin.|Question\nMilk?"
    assert tokenizer.options == {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
    for template in ("{{ messages }}", None):
        other = Tokenizer(template)
        as_text_of(other, MESSAGES)
        assert other.options == {"tokenize": False, "add_generation_prompt": True}


def test_messages_are_dicts_for_servers_and_trainers() -> None:
    assert as_dicts(MESSAGES)[1] == {"role": "user", "content": "Question\nMilk?"}


def test_a_hash_is_of_the_exact_characters() -> None:
    assert prompt_hash("") == "cae66941d9efbd404e4d88758ea67670"
    assert len({prompt_hash(text) for text in (TEXT, TEXT[:-1], TEXT + " ", TEXT.upper())}) == 4

"""Prompts as chat messages, and as the one string that a Qwen3-shaped model reads.

The template is ours and fixed: ChatML with an empty think block after the assistant's tag, which is what Qwen3's own
gives for `enable_thinking=False` (a test holds it to that form). Training and serving use it alike.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, Protocol

TURN, END, NO_THOUGHT = "<|im_start|>", "<|im_end|>", "<think>\n\n</think>\n\n"
THINKING_SWITCH = "enable_thinking"
_MARKERS = (TURN, END, "<think>", "</think>")
_HASH_BYTES = 16


class ChatMessage(NamedTuple):
    """One turn. `content` has no marker of the template in it."""

    role: Literal["system", "user", "assistant"]
    content: str


class TemplateTokenizer(Protocol):
    """What is needed of a tokenizer that has a chat template of its own."""

    chat_template: Any

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any: ...


def as_text(messages: Sequence[ChatMessage]) -> str:
    """The prompt that asks for the assistant's turn.

    Raises:
        ValueError: a content has a marker of the template in it, which `escaping` must not let through.
    """
    return "".join(_turn(message) for message in messages) + f"{TURN}assistant\n{NO_THOUGHT}"


def with_answer(messages: Sequence[ChatMessage], answer: str) -> str:
    """The prompt with its answer and the end of the turn: what a model is trained on. Raises as `as_text`."""
    return as_text(messages) + f"{_checked(answer)}{END}\n"


def as_text_of(tokenizer: TemplateTokenizer, messages: Sequence[ChatMessage]) -> str:
    """The prompt by a tokenizer's own template, its thinking switched off where the template has the switch."""
    options: dict[str, Any] = {"tokenize": False, "add_generation_prompt": True}
    if THINKING_SWITCH in str(tokenizer.chat_template):
        options[THINKING_SWITCH] = False
    return str(tokenizer.apply_chat_template(as_dicts(messages), **options))


def as_dicts(messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
    """The messages as chat servers and trainers take them."""
    return [{"role": message.role, "content": message.content} for message in messages]


def prompt_hash(text: str) -> str:
    """128 bits of BLAKE2b of a prompt's exact characters, as 32 hex digits: what an answer names it by."""
    return blake2b(text.encode(), digest_size=_HASH_BYTES).hexdigest()


def _turn(message: ChatMessage) -> str:
    return f"{TURN}{message.role}\n{_checked(message.content)}{END}\n"


def _checked(content: str) -> str:
    if any(marker in content for marker in _MARKERS):
        raise ValueError(
            "a message holds a marker of the chat template: text from outside was not made harmless"
        )
    return content

"""Prompts: one renderer for training and serving, from a question about a twin to what a language model reads.

`rendering` puts the parts together in their order: system, segment, DNA (`dna`), environment (`environment`),
evidence (`evidence`, in `buckets`), question (`questions`). `escaping` makes text from outside harmless, `budget` drops
lines of what is too long, `chat` is the template, `answers` writes and reads answers.
"""

from twin_store.prompts.answers import (
    Answer,
    Form,
    GeneratedText,
    MalformedAnswer,
    read_answer,
    written_answer,
)
from twin_store.prompts.buckets import FORMAT, Buckets, BucketsError
from twin_store.prompts.budget import CountTokens, PromptTooLong, drop_order
from twin_store.prompts.chat import ChatMessage, as_dicts, as_text, as_text_of, prompt_hash, with_answer
from twin_store.prompts.escaping import harmless, quoted
from twin_store.prompts.rendering import Prompt, Scene, render, training_example

__all__ = [
    "FORMAT",
    "Answer",
    "Buckets",
    "BucketsError",
    "ChatMessage",
    "CountTokens",
    "Form",
    "GeneratedText",
    "MalformedAnswer",
    "Prompt",
    "PromptTooLong",
    "Scene",
    "as_dicts",
    "as_text",
    "as_text_of",
    "drop_order",
    "harmless",
    "prompt_hash",
    "quoted",
    "read_answer",
    "render",
    "training_example",
    "with_answer",
    "written_answer",
]

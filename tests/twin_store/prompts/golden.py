"""The golden prompts, byte for byte, one file a prompt. Adapters are trained on these bytes.

If a change of them is meant, raise `buckets.FORMAT` and write them again:

    python -m tests.twin_store.prompts.golden
"""

from __future__ import annotations

from typing import get_args

from tests.twin_store.prompts.scenes import GOLDEN, buckets, scene
from twin_store.messages.decisions import QuestionKind
from twin_store.prompts import render

FOLDER = GOLDEN / "prompts"


def golden_prompts() -> dict[str, bytes]:
    """What each file should hold, by its name."""
    found = {}
    for kind in get_args(QuestionKind):
        for number, prompt in enumerate(render(scene(kind), buckets()), start=1):
            found[f"{kind}.{number}.txt"] = prompt.text.encode()
    return found


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.txt"):
        path.unlink()
    for name, text in golden_prompts().items():
        (FOLDER / name).write_bytes(text)

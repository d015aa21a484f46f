"""Prompts that are too long lose whole lines, the least useful first, until they fit.

The order, first to go first:

1. numbers of the evidence beyond the 24 most telling ones, the least telling first (`usefulness`)
2. retrieved products, the least similar first
3. lines of the DNA, the least telling first (`dna.DNA_USEFULNESS`); from here on a customer's prompts no longer share
   their beginning in a prefix cache
4. the environment: moment, store, shelf
5. the evidence that is left, the least telling first
6. the segment

The system's words and the question are never dropped.
"""

from collections.abc import Callable, Container, Sequence

from twin_store.messages.decisions import QuestionKind
from twin_store.prompts.dna import DNA_USEFULNESS
from twin_store.prompts.environment import MOMENT, RETRIEVED, RETRIEVED_SHOWN, SHELF, STORE
from twin_store.prompts.evidence import evidence_key
from twin_store.prompts.families import FAMILY_OF

TELLING = 24
SEGMENT = "segment"
CountTokens = Callable[[str], int]


class PromptTooLong(ValueError):  # noqa: N818 - it is the prompt that is wrong
    """Even the system's words and the question alone are beyond the budget."""


def drop_order(kind: QuestionKind) -> tuple[str, ...]:
    """Keys of all lines that may go, the first to go first."""
    family = FAMILY_OF.get(kind)
    numbers = [evidence_key(name) for name in family.usefulness] if family is not None else []
    return (
        *reversed(numbers[TELLING:]),
        *(f"{RETRIEVED}.{rank}" for rank in range(RETRIEVED_SHOWN, 0, -1)),
        *reversed(DNA_USEFULNESS),
        *(MOMENT, STORE, SHELF),
        *reversed(numbers[:TELLING]),
        SEGMENT,
    )


def dropped_to_fit(
    text_without: Callable[[Container[str]], str],
    order: Sequence[str],
    count_tokens: CountTokens,
    budget: int,
) -> tuple[str, ...]:
    """The lines to drop, by key, so that the prompt has at most `budget` tokens.

    As few as possible, if a prompt with fewer lines never has more tokens, which holds of every usual tokenizer. Tokens
    are counted some log2(lines) times.

    Args:
        text_without: the whole prompt without the lines of these keys.
        order: the keys that the prompt has, the first to go first.

    Raises:
        PromptTooLong: it does not fit without all of them.
    """
    if count_tokens(text_without(())) <= budget:
        return ()
    least = count_tokens(text_without(frozenset(order)))
    if least > budget:
        raise PromptTooLong(
            f"the question alone takes {least} tokens of {budget}: shorten it, or raise the budget"
        )
    fits, too_few = len(order), 0
    while fits - too_few > 1:
        middle = (fits + too_few) // 2
        if count_tokens(text_without(frozenset(order[:middle]))) <= budget:
            fits = middle
        else:
            too_few = middle
    return tuple(order[:fits])

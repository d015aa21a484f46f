"""What a model is trained on: prompts as serving sends them, each with its right answer and how sure that is."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trainer.training.questions import Asked, Examiner
from twin_store.messages.decisions import QuestionKind
from twin_store.prompts import Buckets, ChatMessage, as_text, training_example
from twin_store.prompts.answers import LETTERS, NO, YES


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt with its truth.

    Attributes:
        messages: as serving sends them.
        answers: what may be answered, each the model's first token: YES and NO, or letters.
        right: the place of the right one in `answers`.
        shares: what a sure teacher would say of each answer; adds up to 1. One at `right` without a teacher.
        rows: of each answer the row of the table that it is about; the one row for YES and NO.
        weight: how many questions of the shop floor it stands for.
    """

    kind: QuestionKind
    customer_id: str
    as_of: int
    messages: tuple[ChatMessage, ...]
    answers: tuple[str, ...]
    right: int
    shares: tuple[float, ...]
    rows: tuple[int, ...]
    weight: float

    @property
    def answer(self) -> str:
        """The right answer as a model should write it."""
        return self.answers[self.right]

    @property
    def prompt(self) -> str:
        """The prompt as one string."""
        return as_text(self.messages)


def examples_of(
    examiner: Examiner, asked: Asked, buckets: Buckets, taught: np.ndarray | None = None
) -> Iterator[Example]:
    """The examples of cases, customer by customer.

    Args:
        taught: float [rows], a teacher's probability of each label; those of one case add up to 1 where one is true.
    """
    labels = asked.table.labels if taught is None else taught
    for number, prompts in examiner.prompts(asked, buckets):
        case, first = asked.cases[number], int(asked.starts[number])
        for prompt in prompts:
            if prompt.form == "yes_no":
                row = first + prompt.about
                answers, rows = (YES, NO), (row,)
                shares = np.array([labels[row], 1.0 - labels[row]])
                right: int = case.labels[prompt.about]
            elif prompt.form == "option":
                answers = tuple(LETTERS[: len(prompt.options)])
                rows = tuple(first + place for place in prompt.options)
                shares = np.array([labels[row] for row in rows], dtype=np.float64)
                right = case.labels.index(1)
            else:
                continue  # a likelihood in words is asked for beside P(YES), and not what is decided by
            messages, answer = training_example(prompt, right)
            yield Example(
                asked.table.kind,
                case.customer_id,
                case.as_of,
                messages,
                answers,
                answers.index(answer),
                tuple((shares / shares.sum()).tolist()),
                rows,
                float(asked.table.weights[rows[0]]),
            )

"""What is trained on is what is served: the same text by the renderer, by the decider, and by TRL's template."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.streams.scripted_model import ScriptedModel
from tests.trainer.training.conftest import Taught
from trainer.deciders.base import DecisionInput
from trainer.deciders.language.decider import LanguageDecider, Prepared
from trainer.deciders.language.scenes import SceneMaker
from trainer.deciders.language.served import ServedBase
from trainer.fit_evidence import Effort, draw_cases
from trainer.tasks.workshop import Workshop
from trainer.training.examples import examples_of
from trainer.training.questions import Examiner, symbols_of
from trainer.training.sft import conversation
from trainer.training.vocabulary import fixed_lines
from twin_store.dna.profile import ProductNames
from twin_store.prompts import Buckets, with_answer
from twin_store.segments import load_definitions


def served(workshop: Workshop, buckets: Buckets, taught: Taught, count: int) -> dict[tuple[int, int], str]:
    """The prompts of the decider that answers live, by case and place, of the first cases."""
    asked = taught.parts["purchase"].last
    symbols = symbols_of(workshop.history)
    found: dict[tuple[int, int], str] = {}
    for i, twin in workshop.replay.twins(asked.cases):
        if i >= count:
            continue
        case = asked.cases[i]
        scenes = SceneMaker(
            workshop.products,
            load_definitions(),
            lambda second=case.as_of: workshop._reader_at(second),  # type: ignore[misc]
            ProductNames.none,
        )
        base = ServedBase(buckets=buckets)
        decider = LanguageDecider("vllm", "base", ScriptedModel(), scenes, lambda _s, _c: None, base)
        prepared = decider.prepare(DecisionInput(case.question, twin, customer_id="c", symbols=symbols))
        assert isinstance(prepared, Prepared)
        found |= {(i, place): prompt.text for place, prompt in enumerate(prepared.prompts)}
    return found


def test_training_shows_what_serving_sends(workshop: Workshop, examiner: Examiner, taught: Taught) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(taught.folder)
    asked = taught.parts["purchase"].last
    sent = served(workshop, taught.buckets, taught, count=12)
    trained = {}
    for example in examples_of(examiner, asked, taught.buckets):
        case = int(asked.table.cases[example.rows[0]])
        trained[case, example.rows[0] - int(asked.starts[case])] = example
    assert len(sent) >= 12
    for key, text in sent.items():
        example = trained[key]
        assert example.prompt == text
        by_template = tokenizer.apply_chat_template(conversation(example), tokenize=False)
        assert by_template == with_answer(example.messages, example.answer)
        assert by_template.startswith(text)


def test_a_silent_section_is_in_no_prompt_and_travels_with_the_buckets(
    examiner: Examiner, taught: Taught
) -> None:
    assert taught.buckets.silent == ("dna", "environment.retrieved")
    assert Buckets.from_json(taught.buckets.to_json()) == taught.buckets
    asked = taught.parts["purchase"].last.where(np.arange(len(taught.parts["purchase"].last)) < 3)
    (silent, *_) = examples_of(examiner, asked, taught.buckets)
    (told, *_) = examples_of(examiner, asked, Buckets(taught.buckets.edges))
    assert "Shopping-DNA\n" in told.prompt
    assert "Shopping-DNA\n" not in silent.prompt
    assert silent.prompt.split("Environment\n")[1] == told.prompt.split("Environment\n")[1]


def test_a_line_of_evidence_is_one_token(examiner: Examiner, taught: Taught) -> None:
    asked = taught.parts["purchase"].last.where(np.arange(len(taught.parts["purchase"].last)) < 3)
    (example, *_) = examples_of(examiner, asked, taught.buckets)
    ids = taught.tokens.encode(example.prompt)
    whole = set(fixed_lines(taught.buckets, load_definitions()))
    lines = [taught.tokens.tokenizer.id_to_token(token) for token in ids]
    evidence = example.prompt.split("Evidence\n")[1].split("\n\n")[0].splitlines()
    assert len(evidence) > 20
    assert {f"{line}\n" for line in evidence} <= set(lines) & whole
    assert len(ids) < 140
    assert taught.tokens.tokenizer.decode(ids, skip_special_tokens=False) == example.prompt


def test_every_kind_of_question_becomes_examples_with_one_truth(
    examiner: Examiner, workshop: Workshop
) -> None:
    effort = Effort(
        purchase=300, purchase_floor=0, promotion=200, promotion_floor=0, completion=400, choice=60
    )
    for (kind, _), cases in draw_cases(workshop, effort).items():
        if not cases:
            continue
        asked = examiner.ask(cases[:60])
        buckets = Buckets(Buckets.fit({kind: asked.table.evidence}).edges, ("dna",))
        found = list(examples_of(examiner, asked, buckets))
        assert found, kind
        for example in found:
            rows = [asked.table.labels[row] for row in example.rows]
            if len(rows) > 1:
                assert rows[example.right] == 1
                assert sum(rows) == 1
            else:
                assert example.answer == ("YES" if rows[0] else "NO")
            assert sum(example.shares) == 1.0 or abs(sum(example.shares) - 1) < 1e-9

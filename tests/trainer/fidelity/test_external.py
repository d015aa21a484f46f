"""Cases made elsewhere: what a line must hold, and answers that read nothing of their own moment or after."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli.main import build
from tests.trainer.small_town import OPENING, Town
from tests.twin_store.lake.feed import Feed, new_writer
from trainer.deciders.evidence import EvidenceDecider
from trainer.fidelity.answers import Answer, answer_cases
from trainer.fidelity.external import CaseError, ExternalCase, read_cases
from trainer.fidelity.families import FAMILIES, draw
from trainer.fidelity.frozen import FrozenError, freeze, thaw
from trainer.fidelity.known import Known
from trainer.fitted import Fitted
from trainer.tasks.workshop import Workshop
from twin_store.lake import Lake
from twin_store.messages import CatalogItem

SPLIT = OPENING + timedelta(days=140)


def line(**fields: Any) -> str:
    said = {"case_id": "a", "kind": "purchase", "customer_id": "c1", "as_of": "2024-05-01T10:00:00Z"}
    return json.dumps({**said, "candidates": ["dairy-0"], **fields})


def test_a_line_is_read() -> None:
    (case,) = read_cases([line(store_id=7, candidate_ctx=[{"est_price": 1.2, "display": True, "mailer": 0}])])
    assert (case.customer_id, case.store_id, case.candidates, case.matched) == ("c1", "7", ("dairy-0",), True)
    assert case.context is not None
    assert (case.context[0].display, case.context[0].mailer, case.context[0].price) == (True, False, None)


def test_the_second_of_as_of_is_not_known() -> None:
    moments = (
        "2024-05-01T10:00:00Z",
        "2024-05-01T09:59:59.5Z",
        "2024-05-01T10:00:00",
        "2024-05-01T12:00:00+02:00",
    )
    cases = read_cases(line(case_id=str(i), as_of=moment) for i, moment in enumerate(moments))
    expected = int(datetime(2024, 5, 1, 10, tzinfo=UTC).timestamp()) - 1
    assert [case.as_of for case in cases] == [expected] * 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        (line(kind="guess"), "kind 'guess': there are purchase"),
        (line(candidates=[]), "a purchase case needs candidates"),
        (line(customer_id=None), "customer_id is missing"),
        (line(as_of="soon"), "as_of 'soon' is no date"),
        (line(candidate_ctx=[{}, {}]), "candidate_ctx has not as many"),
        (line(kind="trip_choice", baskets=[["dairy-0"]]), "needs two baskets"),
        (line(kind="trip_choice", baskets=[["dairy-0"], []]), "needs two baskets"),
        (line(kind="voucher_redemption"), "needs a campaign_id"),
        (line(kind="next_basket", k=0), "k is no whole number"),
        (line(candidates="dairy-0"), "candidates is no list"),
        (line(), "case_id 'a' is that of line 1"),
    ],
)
def test_what_is_wrong_names_the_line(text: str, reason: str) -> None:
    with pytest.raises(CaseError, match="line 3: ") as caught:
        list(read_cases([line(), "", text]))
    assert reason in str(caught.value)


def frozen(workshop: Workshop, until: datetime, of_each: int) -> str:
    start, end = int(SPLIT.timestamp()), int(until.timestamp())
    drawn = {family.name: draw(workshop, family, start, end, of_each / 200, 3) for family in FAMILIES}
    return freeze({name: cases[:of_each] for name, cases in drawn.items() if cases}, {"seed": 3})


@pytest.fixture(scope="module")
def frozen_text(workshop: Workshop, until: datetime) -> str:
    return frozen(workshop, until, 8)


@pytest.fixture(scope="module", params=[8, pytest.param(200, marks=pytest.mark.long)], ids=["few", "1000"])
def asked(request: pytest.FixtureRequest, workshop: Workshop, until: datetime) -> list[ExternalCase]:
    found = [case.asked for case in thaw(frozen(workshop, until, request.param))[1]]
    assert len(found) >= (60 if request.param == 8 else 1_000)
    return found


def answers(lake: Lake, cases: Sequence[ExternalCase], fitted: Fitted) -> list[Answer]:
    found = answer_cases(Known(lake, cases), cases, lambda products: EvidenceDecider("v", fitted, products))
    assert all(isinstance(each, Answer) for each in found), [
        each for each in found if not isinstance(each, Answer)
    ]
    return [each for each in found if isinstance(each, Answer)]


def as_bytes(found: Sequence[Answer]) -> list[bytes]:
    return [json.dumps([each.as_json(), each.p]).encode() for each in found]


@pytest.fixture(scope="module")
def answered(town_lake: Lake, asked: list[ExternalCase], trained: tuple[Fitted, Any]) -> list[Answer]:
    return answers(town_lake, asked, trained[0])


def test_every_kind_is_answered(asked: list[ExternalCase], answered: list[Answer]) -> None:
    kinds = {case.kind for case in asked}
    assert kinds == {
        "purchase", "promotion_response", "basket_completion", "next_basket", "trip_choice", "voucher_redemption",
    }  # fmt: skip
    for case, answer in zip(asked, answered, strict=True):
        assert answer.case_id == case.case_id
        if case.kind == "next_basket":
            assert answer.ranking is not None
            assert 0 < len(answer.ranking) <= case.k
            assert answer.p == sorted(answer.p, reverse=True)
        else:
            assert len(answer.p) == (len(case.candidates) or len(case.baskets) or 1)
            assert all(0 < p < 1 for p in answer.p)


def test_a_moment_earlier_the_answers_are_the_same(
    town_lake: Lake, asked: list[ExternalCase], answered: list[Answer], trained: tuple[Fitted, Any]
) -> None:
    """Those asked right after a trip are left out: that trip is in the second before."""
    places = [i for i, case in enumerate(asked) if not case.case_id.startswith("purchase_floor")]
    earlier = [replace(asked[i], as_of=asked[i].as_of - 1) for i in places]
    found = as_bytes(answers(town_lake, earlier, trained[0]))
    assert found == as_bytes([answered[i] for i in places])


def with_a_future(moment: datetime) -> list[tuple[str, str, Any]]:
    """The town up to a moment, and then another: other receipts, other products, other campaigns."""
    was = [each for each in Town().messages() if _at(each) < moment]
    after = [each for each in Town(seed=11).messages() if _at(each) >= moment]
    renamed = [
        (table, key, message.model_copy(update={"transaction_id": f"other-{message.transaction_id}"}))
        if table == "transactions"
        else (table, key, message)
        for table, key, message in after
        if table != "catalog"
    ]
    items = [
        (table, key, message.model_copy(update={"section": "ELSEWHERE", "updated_at": moment}))
        for table, key, message in was
        if isinstance(message, CatalogItem)
    ]
    return [*was, *items, *renamed]


def _at(each: tuple[str, str, Any]) -> datetime:
    message = each[2]
    for name in ("occurred_at", "starts_at", "updated_at"):
        if hasattr(message, name):
            found: datetime = getattr(message, name)
            return found
    raise AssertionError(message)


@pytest.mark.parametrize("share", [0.4, 0.9])
def test_events_after_a_case_change_no_answer(
    tmp_path: Path,
    asked: list[ExternalCase],
    answered: list[Answer],
    trained: tuple[Fitted, Any],
    share: float,
) -> None:
    order = sorted(case.as_of for case in asked)
    second = order[int(share * len(order))]
    moment = datetime.fromtimestamp(second + 1, UTC)
    feed = Feed()
    for table, key, message in with_a_future(moment):
        feed.publish(table, key, message.to_wire())
    feed.drain(new_writer(str(tmp_path / "lake")))
    places = [i for i, case in enumerate(asked) if case.as_of <= second]
    kept = [asked[i] for i in places]
    last = [replace(asked[order.index(order[-1])], case_id="last", as_of=order[-1])]  # the future is loaded
    found = answers(Lake(str(tmp_path / "lake")), [*kept, *last], trained[0])[:-1]
    assert as_bytes(found) == as_bytes([answered[i] for i in places])


def test_frozen_cases_that_were_changed_are_refused(frozen_text: str) -> None:
    with pytest.raises(FrozenError, match="hash differs"):
        thaw(frozen_text.replace("dairy-1", "dairy-2", 1))
    with pytest.raises(FrozenError, match="first line"):
        thaw(frozen_text.partition("\n")[2])


def run(arguments: list[str]) -> Any:
    return CliRunner().invoke(build(arguments), arguments)


def bare(kind: str, **fields: Any) -> str:
    """A line with what its kind needs and nothing else."""
    return json.dumps(
        {"case_id": f"bare-{kind}", "kind": kind, "customer_id": "c1", "as_of": "2024-06-20", **fields}
    )


STRANGE = [
    bare("purchase", candidates=["dairy-0", "unheard-of", "dairy-0"]),
    bare(
        "promotion_response", candidates=["dairy-0"], candidate_ctx=[{"display": "A", "mailer": float("nan")}]
    ),
    bare("basket_completion", candidates=["dairy-0", "dairy-1"]),
    bare("next_basket"),
    bare("trip_choice", baskets=[["dairy-0"], ["unheard-of"]], store_id="nowhere"),
    line(
        case_id="nobody",
        customer_id="nobody",
        as_of="2024-06-20T10:00:00+02:00",
        store_id=float("nan"),
        k=None,
    ),
    line(case_id="many", candidates=[f"sku-{i}" for i in range(100_000)]),  # more than a megabyte
    line(case_id="early", as_of="1999-12-31"),
    line(case_id="late", as_of="2099-12-31"),
]
WRONG = {
    "{": "no JSON",
    line(case_id="campaign", kind="voucher_redemption", campaign_id="unheard-of"): "no vouchers of campaign",
    line(case_id="typed", candidates={"dairy-0": 1}): "candidates is no list",
    line(case_id="kindless", kind=7): "kind '7'",
    line(case_id="far", as_of="9999-01-01"): "is not between 1970 and 2100",
    line(case_id="nobody"): "case_id 'nobody' is that of line",
    "[" * 100_000: "nested too deeply",
}


def test_the_command_answers_a_file_whatever_is_in_it(
    tmp_path: Path, town_lake: Lake, frozen_text: str
) -> None:
    """Untidy lines cost nobody else an answer; the file of answers has a line for each, in order."""
    lines = [text for text in frozen_text.splitlines()[1:] if '"purchase"' in text]
    for place, text in enumerate(WRONG):
        lines.insert(2 * place + 1, text)
    lines[4:4] = STRANGE
    content = "\ufeff" + "\n\n".join(lines)
    (tmp_path / "cases.jsonl").write_bytes(content.encode() + b"\n\xff\xfe{}\n")
    arguments = ["evaluate", "--cases", str(tmp_path / "cases.jsonl"), "--out", str(tmp_path / "p.jsonl")]
    arguments += ["--lake", town_lake.log.storage.url, "--train-until", "2024-05-15", "--scale", "0.03"]
    result = run(arguments)
    failed = len(WRONG) + 1
    assert f"{failed} of {len(lines) + 1} lines have no answer, the first is line 3: no JSON" in str(
        result.exception
    )
    said = [json.loads(text) for text in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert len(said) == len(lines) + 1
    for number, (text, answer) in enumerate(zip(lines, said, strict=False)):
        if text in WRONG:
            assert WRONG[text] in answer["error"]
            assert answer["line"] == 2 * number + 1
        else:
            case = json.loads(text)
            assert answer["case_id"] == case["case_id"]
            if case["kind"] == "next_basket":
                assert len(answer["ranking"]) == 10
            else:
                assert len(answer["p"]) == len(case.get("baskets") or case["candidates"])
                assert all(0 < p < 1 for p in answer["p"])
    assert "no UTF-8" in said[-1]["error"]


def test_codes_of_the_shop_floor_are_flags() -> None:
    flags = [("A", "0"), (0, 5.0), ("", "yes"), (None, True), (float("nan"), "NaN")]
    context = [{"display": display, "mailer": mailer} for display, mailer in flags]
    (case,) = read_cases([line(candidates=list("abcde"), candidate_ctx=context)])
    assert case.context is not None
    found = [(each.display, each.mailer) for each in case.context]
    assert found == [(True, False), (False, True), (False, True), (False, True), (False, False)]


def test_whole_numbers_of_tables_with_gaps_are_ids() -> None:
    (case,) = read_cases([line(store_id=367.0, k=5.0, campaign_id=float("nan"), customer_id=742.0)])
    assert (case.store_id, case.k, case.campaign_id, case.customer_id) == ("367", 5, None, "742")

"""What a CRM asks: checked, dealt out by customer, and put as a question."""

from __future__ import annotations

from collections.abc import Iterator

from streams.agents.ledger import Ledger
from streams.agents.questions import TRIP_HORIZON_S, Proposal, Question, query_id, rest_key
from streams.agents.retrieved import ANCHORS_MAX, Neighbours, merged
from streams.environment import Environment
from twin_store.messages import Ask, Request, Subject
from twin_store.messages.codec import BadMessage, epoch_seconds
from twin_store.outcomes import NEVER_SETTLED


def check(request: Request, environment: Environment) -> None:
    """Raises `BadMessage` if the request lacks what its kind needs, or names a campaign that is not known."""
    subject = request.subject
    match request.kind:
        case "trip_choice":
            if len(subject.baskets) < 2 or not all(subject.baskets):
                raise BadMessage("trip_choice needs two baskets or more, none empty", "subject.baskets")
        case "voucher_redemption":
            if not subject.voucher_skus:
                _check_campaign(subject.campaign_id, "subject.campaign_id", environment)
        case "survey":
            if subject.statement is None:
                raise BadMessage("survey needs the statement that is put to her", "subject.statement")
            if len(set(subject.scale)) < 2 or len(set(subject.scale)) < len(subject.scale):
                raise BadMessage("survey needs a scale of two steps or more, all different", "subject.scale")
        case "review":
            if len(subject.candidates) != 1:
                raise BadMessage("review needs the one product that it is of", "subject.candidates")
        case _:
            if not subject.candidates:
                raise BadMessage(f"{request.kind} needs candidates to ask about", "subject.candidates")
    if request.audience_campaign_id is not None:
        _check_campaign(request.audience_campaign_id, "audience_campaign_id", environment)


def names_campaign(request: Request) -> bool:
    """Whether the request can only be dealt out by what is known of a campaign."""
    return request.audience_campaign_id is not None or request.subject.campaign_id is not None


def deal_out(request: Request, environment: Environment) -> Iterator[Ask]:
    """One ask for each customer that the request names, by id or as the audience of a campaign."""
    campaign = environment.campaign(request.audience_campaign_id or "")
    audience = campaign.audience if campaign is not None else ()
    for customer_id in dict.fromkeys([*request.customer_ids, *audience]):
        yield Ask(
            customer_id=customer_id,
            request_id=request.request_id,
            kind=request.kind,
            requested_at=request.requested_at,
            as_of=request.as_of,
            deadline=request.deadline,
            subject=request.subject,
            store_id=request.store_id,
        )


def ask_anchors(ask: Ask) -> list[str]:
    """The products whose neighbours are retrieved for an ask."""
    return list(ask.subject.candidates[:ANCHORS_MAX])


def propose_asked(ledger: Ledger, ask: Ask, environment: Environment, neighbours: Neighbours) -> Proposal:
    """What somebody asks for has no cool-down; only the same request is not answered twice."""
    requested = epoch_seconds(ask.requested_at)
    answers = rest_key("request", query_id("request", ask.customer_id, ask.kind, ask.request_id))
    if answers in ledger.answered:
        return None
    as_of = requested if ask.as_of is None else epoch_seconds(ask.as_of)
    subject = _completed(ask, environment)
    return Question(
        customer_id=ask.customer_id,
        kind=ask.kind,
        raised_by="request",
        occasion=ask.request_id,
        as_of=as_of,
        subject=subject,
        until=as_of + TRIP_HORIZON_S if subject.ends_at is None else epoch_seconds(subject.ends_at),
        answers=answers,
        spent_at=requested,
        by_next_trip=ask.kind not in ("voucher_redemption", *NEVER_SETTLED),
        store_id=ask.store_id or ledger.store,
        retrieved=merged(neighbours, ask_anchors(ask), set(subject.candidates)),
        request_id=ask.request_id,
        deadline=ask.deadline,
    )


def _completed(ask: Ask, environment: Environment) -> Subject:
    """The ask's subject; what it leaves out about a campaign comes from the campaign."""
    subject = ask.subject
    campaign = environment.campaign(subject.campaign_id or "")
    if ask.kind == "voucher_redemption" and campaign is not None and not subject.voucher_skus:
        return campaign.subject
    return subject


def _check_campaign(campaign_id: str | None, place: str, environment: Environment) -> None:
    if campaign_id is None:
        raise BadMessage(
            "voucher_redemption needs voucher_skus, or the campaign whose vouchers are meant", place
        )
    if environment.campaign(campaign_id) is None:
        raise BadMessage(f"no campaign {campaign_id!r} is known that has not ended", place)

"""Which question a customer's twin is worth asking: the planner's policy. No clock, no I/O, no randomness.

Everything is told: the customer's ledger (which is changed in place), the event, what the index retrieved, what
surrounds her, and the moment. The same inputs in the same order give the same queries with the same ids.
Consent, budget and cool-downs are kept here and nowhere else; what to ask is proposed by `trips`, `carts`,
`vouchers` and `requests`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from streams.agents.carts import propose_completion, touch
from streams.agents.ledger import Ledger
from streams.agents.questions import Proposal, Question, Refusal, as_query
from streams.agents.requests import propose_asked
from streams.agents.retrieved import Neighbours
from streams.agents.trips import learn, propose_due, propose_promoted
from streams.agents.vouchers import propose_voucher
from streams.environment import Environment
from streams.promotions import Campaign
from twin_store.messages import Ask, Click, Profile, Query


@dataclass(frozen=True)
class Rules:
    """The limits: questions a day, how long the same one rests, how long an answer may take."""

    budget_per_day: int
    cooldown_s: int
    deadline_s: float


@dataclass
class Plan:
    """What one event gave: queries to ask, and why others were not asked."""

    queries: list[Query] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


class Planner:
    """The policy under one set of rules, in one environment."""

    def __init__(self, rules: Rules, environment: Environment) -> None:
        self._rules = rules
        self._environment = environment

    def on_profile(self, ledger: Ledger, profile: Profile, neighbours: Neighbours, now: datetime) -> Plan:
        """A twin as of its last event: campaigns that want her, what is due, what is promoted."""
        plan = Plan()
        is_new_trip = learn(ledger, profile)
        for campaign in self._environment.open_campaigns(ledger.as_of, profile.customer_id):
            self._admit(ledger, propose_voucher(ledger, profile.customer_id, campaign), now, plan)
        if is_new_trip:
            self._admit(ledger, propose_due(ledger, profile, neighbours), now, plan)
            self._admit(ledger, propose_promoted(ledger, profile, self._environment), now, plan)
        return plan

    def on_campaign(self, ledger: Ledger, customer_id: str, campaign: Campaign, now: datetime) -> Plan:
        """A campaign opens that names her in its audience."""
        plan = Plan()
        self._admit(ledger, propose_voucher(ledger, customer_id, campaign), now, plan)
        return plan

    def on_click(self, ledger: Ledger, click: Click, neighbours: Neighbours, now: datetime) -> Plan:
        """A step of a session."""
        plan = Plan()
        if touch(ledger, click):
            self._admit(ledger, propose_completion(ledger, click, neighbours), now, plan)
        return plan

    def on_ask(self, ledger: Ledger, ask: Ask, neighbours: Neighbours, now: datetime) -> Plan:
        """One customer's share of a request."""
        plan = Plan()
        self._admit(ledger, propose_asked(ledger, ask, self._environment, neighbours), now, plan)
        return plan

    def _admit(self, ledger: Ledger, proposal: Proposal, now: datetime, plan: Plan) -> None:
        """Ask it, if she agreed to be asked about and the day's budget allows it."""
        if not isinstance(proposal, Question):
            plan.refusals += [] if proposal is None else [proposal]
            return
        paid_at = proposal.as_of if proposal.spent_at is None else proposal.spent_at
        if not ledger.known:
            plan.refusals.append("no_twin")
        elif not ledger.consent:
            plan.refusals.append("no_consent")
        elif ledger.spent_on(paid_at) >= self._rules.budget_per_day:
            plan.refusals.append("over_budget")
        else:
            ledger.spend(paid_at)
            rest_until = proposal.rest_until or paid_at + self._rules.cooldown_s
            for key in proposal.rests:
                ledger.cool(key, rest_until)
            if proposal.answers is not None:
                ledger.answer(proposal.answers)
            plan.queries.append(as_query(proposal, self._environment, now, self._rules.deadline_s))

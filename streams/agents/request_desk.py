"""Requests as they arrive: checked, dealt out to the partitions of their customers, or buried."""

from __future__ import annotations

import asyncio

from streams.agents.environment_reader import EnvironmentReader
from streams.agents.requests import check, deal_out, names_campaign
from streams.agents.rounds import SOURCE, STAGE, Post, Tally
from streams.dead_letters import Origin, dead_letter_record
from streams.environment import Environment
from streams.topics import ASKS, DEAD_LETTERS, REQUESTS
from twin_store.messages import Request
from twin_store.messages.codec import BadMessage, decode, headers_for

DEALT_AT_ONCE = 1_000


class RequestDesk:
    """Turns each request into one ask a customer. Dealing one out again is harmless: a ledger takes it once."""

    def __init__(self, environment: Environment, reader: EnvironmentReader, post: Post, tally: Tally) -> None:
        self._environment = environment
        self._reader = reader
        self._post = post
        self._tally = tally

    async def take(self, origin: Origin) -> None:
        """Deal one request out; when this returns every ask is delivered."""
        try:
            request = decode(Request, origin.value)
            if names_campaign(request):
                await self._reader.caught_up()
            check(request, self._environment)
        except BadMessage as error:
            key, value, headers = dead_letter_record(origin, STAGE, error)
            await (await self._post.send(DEAD_LETTERS, key, value, headers))
            self._tally.buried(REQUESTS)
            return
        waiting = []
        for ask in deal_out(request, self._environment):
            headers = headers_for(ask, SOURCE, request.requested_at)
            waiting.append(await self._post.send(ASKS, ask.customer_id.encode(), ask.to_wire(), headers))
            if len(waiting) >= DEALT_AT_ONCE:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)

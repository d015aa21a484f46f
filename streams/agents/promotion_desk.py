"""Promotions as they arrive: the one reader that sees each once, and buries what does not fit.

Every planner reads all promotions for itself (`EnvironmentReader`), again at each start; letters from there would be
as many as there were starts. This reads as a group, like the requests are: after a crash a letter may come twice, and
letters about one origin are one.
"""

from __future__ import annotations

from streams.agents.rounds import STAGE, Post, Tally
from streams.dead_letters import Origin, dead_letter_record
from streams.decoding import FastDecoder
from streams.promotions import check
from streams.topics import DEAD_LETTERS, PROMOTIONS
from twin_store.messages import Promotion
from twin_store.messages.codec import BadMessage


class PromotionDesk:
    """Judges promotions as the environment does, and keeps none."""

    def __init__(self, post: Post, tally: Tally) -> None:
        self._post = post
        self._tally = tally
        self._decode = FastDecoder(Promotion)

    async def take(self, origin: Origin) -> None:
        """Judge one promotion; when this returns its letter, if it gets one, is delivered."""
        try:
            check(self._decode(origin.value))
        except BadMessage as error:
            key, value, headers = dead_letter_record(origin, STAGE, error)
            await (await self._post.send(DEAD_LETTERS, key, value, headers))
            self._tally.buried(PROMOTIONS)

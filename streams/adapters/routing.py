"""Which adapter a question goes to. Asked by the threads that answer, told by the one that swaps."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Literal

from trainer.deciders.language.served import ServedAdapter


@dataclass(frozen=True)
class Trial:
    """A challenger. `salt` is its own, so that each trial draws other customers and a release in between none."""

    served: ServedAdapter
    mode: Literal["shadow", "ab"]
    share: float
    salt: str

    def draws(self, drawn: str) -> bool:
        """Whether a customer, or a query, is among those of the trial: always the same answer."""
        digest = blake2b(f"{self.salt}\0{drawn}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self.share * 2**64


@dataclass(frozen=True)
class _Post:
    champion: ServedAdapter
    trial: Trial | None
    is_there: bool


class Routing:
    """A `Router` (see `trainer.deciders.language.served`), for all segments that have a release.

    Every question of a version is given the same object. It is let go of when its questions are over, and then nobody
    can ask the version any more: that is how long it must stay in the model after it was replaced.

    A segment whose release is not in the model yet is routed to it all the same: the model does not know it, and the
    question is answered as when an adapter is missing, not by the base.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._posts: dict[str, _Post] = {}
        self._left: dict[str, list[weakref.ref[ServedAdapter]]] = {}
        self._wanted: dict[str, None] = {}

    def __call__(self, segment: str, customer_id: str) -> ServedAdapter | None:
        """Who answers a customer of a segment."""
        with self._lock:
            post = self._posts.get(segment)
            if post is None:
                return None
            if not post.is_there:
                self._wanted[segment] = None
            trial = post.trial
            if trial and trial.mode == "ab" and trial.draws(f"customer {customer_id}"):
                return trial.served
            return post.champion

    def challenger(self, segment: str, customer_id: str) -> ServedAdapter | None:
        """A `Router` too: the segment's shadow, None for a segment without one."""
        with self._lock:
            post = self._posts.get(segment)
            trial = post.trial if post else None
            return trial.served if trial and trial.mode == "shadow" else None

    def is_shadowed(self, segment: str, query_id: str) -> bool:
        """Whether a query is for the segment's shadow too."""
        with self._lock:
            post = self._posts.get(segment)
        trial = post.trial if post else None
        return trial is not None and trial.mode == "shadow" and trial.draws(f"query {query_id}")

    def post(self, champion: ServedAdapter, trial: Trial | None) -> None:
        """From now on the questions of the champion's segment go here. Both are copied."""
        trial = None if trial is None else replace(trial, served=replace(trial.served))
        self._replace(champion.segment, _Post(replace(champion), trial, is_there=True))

    def expect(self, champion: ServedAdapter) -> None:
        """The segment's adapter will be there; nothing changes for one that has another."""
        with self._lock:
            self._posts.setdefault(champion.segment, _Post(champion, None, is_there=False))

    def withdraw(self, segment: str) -> None:
        """The segment is the base's again."""
        self._replace(segment, None)

    def is_asked(self, name: str) -> bool:
        """Whether a question still has an adapter that was replaced."""
        with self._lock:
            alive = [each for each in self._left.pop(name, ()) if each() is not None]
            if alive:
                self._left[name] = alive
            return bool(alive)

    def take_wanted(self) -> list[str]:
        """The segments that were asked for since the last call and whose adapter is not there yet."""
        with self._lock:
            wanted, self._wanted = list(self._wanted), {}
            return wanted

    def _replace(self, segment: str, post: _Post | None) -> None:
        with self._lock:
            old = self._posts.pop(segment, None)
            if post is not None:
                self._posts[segment] = post
            for served in (old.champion, old.trial.served if old.trial else None) if old else ():
                if served is not None:
                    self._left.setdefault(served.name, []).append(weakref.ref(served))

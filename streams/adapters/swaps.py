"""Versions into the model and out again, so that no question meets one that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from streams.adapters.locations import local_folder
from streams.adapters.releases import name_of
from streams.adapters.reports import Reporter, Role
from streams.adapters.routing import Routing, Trial
from trainer.deciders.language.adapter_host import AdapterHost
from trainer.deciders.language.served import ServedAdapter
from trainer.deciders.vllm.adapters import read_served
from trainer.deciders.vllm.errors import AdapterError, Reason
from twin_store.messages import AdapterRelease, AdapterVersion


@dataclass(frozen=True)
class _Seated:
    """A version that a segment's questions go to, and the number of the release that it came with."""

    version: AdapterVersion
    name: str
    number: int


class Swaps:
    """What is in one model, by segment. A swap adds the new version, routes to it, and only then takes the old one out.

    Used by one thread.
    """

    def __init__(self, host: AdapterHost, routing: Routing, reporter: Reporter) -> None:
        self._host = host
        self._routing = routing
        self._reporter = reporter
        self._there: dict[str, ServedAdapter] = {}
        self._hashes: dict[str, str] = {}  # of those
        self._seated: dict[str, tuple[_Seated, ...]] = {}
        self._leaving: dict[tuple[str, str], _Seated] = {}
        self._pinned: set[str] = set()

    @property
    def is_settled(self) -> bool:
        """Whether nothing waits to be taken out."""
        return not self._leaving

    def settle(self, release: AdapterRelease) -> None:
        """Have the model serve what a release says, or the version before if that is refused.

        Raises:
            ModelUnavailable: there is no model now.
            OSError: the adapter's storage cannot be read now.
        """
        wanted: list[tuple[AdapterVersion, Role]] = [(release.champion, "champion")]
        if release.previous is not None:
            wanted.append((release.previous, "previous"))
        seated = self._seated.get(release.segment)
        if seated and all(version != seated[0].version for version, _ in wanted):
            wanted.append((seated[0].version, "previous"))  # where both are refused, who answers goes on
        champion = self._first(release, wanted)
        if champion is None:
            return
        challenger = None
        if release.challenger is not None:
            challenger = self._first(release, [(release.challenger, "challenger")])
        self._route(release, champion, challenger)

    def withdraw(self, segment: str) -> None:
        """The segment has no release any more."""
        self._routing.withdraw(segment)
        self._seat(segment, ())

    def retire_idle(self) -> None:
        """Take out what has left and has no question any more. Raises `ModelUnavailable`."""
        for (segment, name), seated in list(self._leaving.items()):
            if self._routing.is_asked(name):
                continue
            if not self._in_use(name):
                self._host.remove_adapter(name)
                self._there.pop(name, None)
                self._pinned.discard(name)
            del self._leaving[segment, name]
            self._reporter.say(segment, seated.number, seated.version, "retired")

    def restarted(self) -> None:
        """The model began anew, with nothing in it; what is routed stays so."""
        self._there.clear()
        self._leaving.clear()
        self._pinned.clear()

    def _first(
        self, release: AdapterRelease, wanted: Iterable[tuple[AdapterVersion, Role]]
    ) -> _Seated | None:
        """The first of these versions that the model takes; the others are refused with their reason."""
        for version, role in wanted:
            try:
                name = self._load(release.segment, version)
                trouble = self._pin(name) if release.pinned else None
            except AdapterError as error:
                self._reporter.say(
                    release.segment, release.number, version, "refused", role, error.reason, error.detail
                )
                continue
            self._reporter.say(release.segment, release.number, version, "loaded", role, detail=trouble)
            return _Seated(version, name, release.number)
        return None

    def _load(self, segment: str, version: AdapterVersion) -> str:
        name = name_of(version, segment)
        if name in self._there:
            if self._hashes[name] != version.sha256:
                raise AdapterError(Reason.NAME, f"{name} is there with other content")
            return name
        self._there[name] = self._added(segment, name, version)
        self._hashes[name] = version.sha256
        return name

    def _added(self, segment: str, name: str, version: AdapterVersion) -> ServedAdapter:
        """The version, once the model has it."""
        if not version.location:
            self._host.add_adapter(name, None, version.sha256)
            return ServedAdapter(segment, name, version.decider_version)
        try:
            with local_folder(version.location) as folder:
                served = read_served(folder, segment, version.sha256)
                if served.name != name:
                    raise AdapterError(
                        Reason.NAME, f"its manifest calls it {served.name}, its release {name}"
                    )
                self._host.add_adapter(name, folder, version.sha256)
        except FileNotFoundError as error:
            raise AdapterError(Reason.FILES, str(error)) from None
        return served

    def _pin(self, name: str) -> str | None:
        """Pins it; what is in the way, if anything is."""
        if name not in self._pinned:
            try:
                self._host.pin_adapter(name)
            except ValueError as error:
                return f"not pinned: {error}"
            self._pinned.add(name)
        return None

    def _route(self, release: AdapterRelease, champion: _Seated, challenger: _Seated | None) -> None:
        segment, trial, on_trial = release.segment, None, release.challenger
        if challenger is not None and on_trial is not None:
            served = replace(self._there[challenger.name], segment=segment)
            trial = Trial(served, on_trial.mode, on_trial.share, f"{challenger.name}\0{on_trial.sha256}")
        self._routing.post(replace(self._there[champion.name], segment=segment), trial)
        seated = (champion,) if challenger is None else (champion, challenger)
        self._seat(segment, seated)
        for each in seated:
            if not release.pinned and each.name in self._pinned:
                self._host.unpin_adapter(each.name)
                self._pinned.discard(each.name)

    def _seat(self, segment: str, seated: tuple[_Seated, ...]) -> None:
        """Who sat there and does not any more leaves; who comes back while leaving stays."""
        names = {each.name for each in seated}
        for each in self._seated.get(segment, ()):
            if each.name not in names:
                self._leaving[segment, each.name] = each
        for name in names:
            self._leaving.pop((segment, name), None)
        if seated:
            self._seated[segment] = seated
        else:
            self._seated.pop(segment, None)

    def _in_use(self, name: str) -> bool:
        """Whether a segment's questions go to it; one adapter may be released for several."""
        return any(each.name == name for seated in self._seated.values() for each in seated)

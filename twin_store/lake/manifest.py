"""What is in the lake: a chain of manifests per Kafka partition, and generations that sum them up.

A manifest says which files hold the records [start, end) of one partition. Its name is made of the topic,
the partition and `start`, and it is created exclusively, so that each position has one successor and the chain
can be walked from 0: whoever comes second at a position learns it, and its files belong to nobody. A generation
is the whole list of files up to a position in every chain; compaction and erasure publish the next one, numbered
and exclusive as well. So a reader sees the newest generation, then each chain from the generation's position.

    <lake>/_log/chains/<topic>/<partition>/<start>.json
    <lake>/_log/generations/<number>.json
"""

import contextlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from twin_store.lake.storage import LakeError, NameTakenError, Storage

LOG_FOLDER = "_log"
_CHAINS = f"{LOG_FOLDER}/chains"
_GENERATIONS = f"{LOG_FOLDER}/generations"
_FORMAT = "lake.json"
FORMAT_VERSION = 1
_DIGITS = 20

Source = tuple[str, int]
"""A Kafka topic and partition."""


class LakeFormat(msgspec.Struct, frozen=True):
    """What was decided when the lake was made and holds for its life."""

    buckets: int
    currency: str
    version: int = FORMAT_VERSION


class DataFile(msgspec.Struct, frozen=True):
    """One Parquet file. `day` counts from 1970-01-01; `path` is relative to the lake."""

    path: str
    table: str
    day: int
    bucket: int
    rows: int
    bytes: int


class Manifest(msgspec.Struct, frozen=True):
    """The records [start, end) of one Kafka partition and the files they are in.

    `skipped` counts records that do not fit their contract, `dropped` those of customers already erased.
    `erasures` holds the requests among the records: customer to epoch microseconds. `topic_id` is Kafka's own
    for the topic, which a topic made anew under the same name does not share. Times are epoch seconds.
    """

    topic: str
    partition: int
    start: int
    end: int
    files: list[DataFile]
    skipped: int
    dropped: int
    erasures: dict[str, int]
    writer: str
    written_at: float
    topic_id: str = ""
    version: int = FORMAT_VERSION


class Reach(msgspec.Struct, frozen=True):
    """How far one Kafka partition is in the lake: everything before `end`."""

    topic: str
    partition: int
    end: int = 0
    skipped: int = 0
    dropped: int = 0
    topic_id: str = ""

    def after(self, manifest: Manifest) -> "Reach":
        """How far it is with this manifest."""
        return Reach(
            self.topic,
            self.partition,
            manifest.end,
            self.skipped + manifest.skipped,
            self.dropped + manifest.dropped,
            manifest.topic_id,
        )


class Superseded(msgspec.Struct, frozen=True):
    """A file out of use since `at` (epoch seconds); readers of an older generation may still be at it."""

    path: str
    at: float


class Generation(msgspec.Struct, frozen=True):
    """Every file of the lake up to a position in each chain, clean of what its `erasures` forbid."""

    number: int
    reaches: list[Reach]
    files: list[DataFile]
    erasures: dict[str, int]
    superseded: list[Superseded]
    writer: str
    written_at: float
    version: int = FORMAT_VERSION


_NO_GENERATION = Generation(0, [], [], {}, [], "", 0.0)


@dataclass(frozen=True)
class LakeState:
    """The lake at one moment: a generation and what the chains have added to it since."""

    generation: Generation
    tail: tuple[Manifest, ...]
    reaches: dict[Source, Reach]
    erasures: dict[str, int]

    @property
    def files(self) -> list[DataFile]:
        """Every live file."""
        return [*self.generation.files, *(file for manifest in self.tail for file in manifest.files)]

    def end(self, source: Source) -> int:
        """The next offset the lake wants of this partition."""
        reach = self.reaches.get(source)
        return reach.end if reach else 0

    @property
    def pending_erasures(self) -> dict[str, int]:
        """Requests that the generation has not carried out in its files yet."""
        done = self.generation.erasures
        return {who: until for who, until in self.erasures.items() if until > done.get(who, -1)}


class OvertakenError(Exception):
    """Another writer was first at this position or generation number: load the state again."""


T = TypeVar("T", Manifest, Generation, LakeFormat)


class LakeLog:
    """The manifests of one lake. Keeps what it has read: manifests never change."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._manifests: dict[str, Manifest] = {}
        self._generation = _NO_GENERATION
        self._format: LakeFormat | None = None

    def format(self) -> LakeFormat | None:
        """What the lake was made with, or None if there is no lake here yet."""
        if self._format is None:
            content = self.storage.read(_FORMAT)
            self._format = None if content is None else _decode(LakeFormat, _FORMAT, content)
        return self._format

    def establish(self, wanted: LakeFormat) -> LakeFormat:
        """Make the lake if there is none. An existing one keeps its buckets.

        Raises `LakeError` if the existing one is of another currency.
        """
        if self.format() is None:
            # Another writer may make it at the same moment: the choice of the first holds.
            with contextlib.suppress(NameTakenError):
                self.storage.create(_FORMAT, msgspec.json.encode(wanted))
        found = self.format()
        assert found is not None
        if found.currency != wanted.currency:
            raise LakeError(
                f"the lake at {self.storage.url} holds {found.currency}, the settings say {wanted.currency}:"
                " point TWINS_LAKE_URL at another place or set TWINS_CURRENCY back"
            )
        return found

    def load(self) -> LakeState:
        """The lake as it is now. Raises `LakeError` if a manifest cannot be read."""
        names = self.storage.names(LOG_FOLDER)
        generation = self._newest_generation(names)
        reaches = {(reach.topic, reach.partition): reach for reach in generation.reaches}
        chains = _chains(names, reaches)
        self._read_manifests([path for chain in chains.values() for path in chain.values()])
        erasures = dict(generation.erasures)
        tail: list[Manifest] = []
        for source, chain in chains.items():
            reach = reaches.get(source, Reach(*source))
            for manifest in self._walk(chain, reach.end):
                reach = reach.after(manifest)
                tail.append(manifest)
                for who, until in manifest.erasures.items():
                    erasures[who] = max(until, erasures.get(who, until))
            reaches[source] = reach
        return LakeState(generation, tuple(tail), reaches, erasures)

    def append(self, manifest: Manifest) -> None:
        """Commit a manifest: from here on its files are in the lake.

        Raises:
            OvertakenError: if the chain already goes on from `manifest.start`.
        """
        path = f"{_CHAINS}/{manifest.topic}/{manifest.partition}/{manifest.start:0{_DIGITS}d}.json"
        self._create(path, manifest)
        self._manifests[path] = manifest

    def publish(self, generation: Generation) -> None:
        """Commit a generation: from here on readers see its files instead of those before.

        Raises:
            OvertakenError: if that number is taken.
        """
        self._create(f"{_GENERATIONS}/{generation.number:0{_DIGITS}d}.json", generation)
        self._generation = generation

    def obsolete(self, before: float) -> list[str]:
        """Log objects that no reader needs who loaded the state at `before` (epoch seconds) or later."""
        names = self.storage.names(LOG_FOLDER)
        kept = _NO_GENERATION
        paths: list[str] = []
        for path in (name for name in names if name.startswith(_GENERATIONS)):
            generation = _decode(Generation, path, self.storage.read(path) or b"")
            if generation.written_at > before:
                break
            paths.append(path)
            kept = generation
        ends = {(reach.topic, reach.partition): reach.end for reach in kept.reaches}
        links = [path for path in names if path.startswith(_CHAINS)]
        return [*paths[:-1], *(path for path in links if _place(path)[1] < ends.get(_place(path)[0], 0))]

    def _create(self, path: str, value: Manifest | Generation) -> None:
        try:
            self.storage.create(path, msgspec.json.encode(value))
        except NameTakenError:
            raise OvertakenError(path) from None

    def _newest_generation(self, names: list[str]) -> Generation:
        numbered = [name for name in names if name.startswith(f"{_GENERATIONS}/")]
        if numbered and int(numbered[-1].rpartition("/")[2].removesuffix(".json")) != self._generation.number:
            content = self.storage.read(numbered[-1])
            if content is None:
                raise LakeError(f"{self.storage.full(numbered[-1])} vanished while it was read: try again")
            self._generation = _decode(Generation, numbered[-1], content)
        return self._generation

    def _read_manifests(self, paths: list[str]) -> None:
        self._manifests = {path: self._manifests[path] for path in paths if path in self._manifests}
        missing = [path for path in paths if path not in self._manifests]
        for path, content in self.storage.read_many(missing).items():
            self._manifests[path] = _decode(Manifest, path, content)

    def _walk(self, chain: dict[int, str], position: int) -> list[Manifest]:
        """The links from `position` on. A link that starts inside another's range is not on the chain."""
        walked = []
        while position in chain and chain[position] in self._manifests:
            manifest = self._manifests[chain[position]]
            walked.append(manifest)
            position = manifest.end
        return walked


def _chains(names: list[str], reaches: dict[Source, Reach]) -> dict[Source, dict[int, str]]:
    """Per Kafka partition: start offset to path, of the links that the generation does not include."""
    chains: dict[Source, dict[int, str]] = defaultdict(dict)
    for name in names:
        if name.startswith(f"{_CHAINS}/") and name.endswith(".json"):
            source, start = _place(name)
            if source not in reaches or start >= reaches[source].end:
                chains[source][start] = name
    return dict(chains)


def _place(path: str) -> tuple[Source, int]:
    topic, partition, name = path.split("/")[-3:]
    return (topic, int(partition)), int(name.removesuffix(".json"))


def _decode(kind: type[T], path: str, content: bytes) -> T:
    try:
        value = msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise LakeError(f"{path} in the lake is damaged ({error}): restore it from a backup") from None
    if value.version > FORMAT_VERSION:
        raise LakeError(f"{path} in the lake is of version {value.version}: upgrade this program to read it")
    return value

"""A real Apache Kafka broker on loopback, for one machine: development, the demo and the tests.

One KRaft node that is broker and controller, its jars fetched once by Maven into a cache of the user's and
its data in a folder of its own. It is the real thing (transactions, compaction, rebalances), only without
replicas or security; production points `TWINS_KAFKA_BOOTSTRAP` at a cluster instead.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.errors import TwinsError
from streams.settings import Settings

KAFKA_VERSION = "4.1.0"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
_LOOPBACK = "127.0.0.1"
_ALTERNATIVE = "or set TWINS_KAFKA_BOOTSTRAP to a Kafka broker that is already running"
_MAIN_CLASS = "kafka.Kafka"


class BrokerError(TwinsError):
    """The local broker could not be started, stopped or reached."""


@dataclass(frozen=True)
class BrokerStatus:
    """What is known of the local broker; `pid` is None unless its process lives."""

    state: Literal["running", "starting", "stopped"]
    bootstrap: str
    pid: int | None
    data_dir: Path
    log: Path


class DevBroker:
    """One broker, identified by its folder: any number of objects and processes may speak of the same one."""

    def __init__(self, data_dir: Path, port: int) -> None:
        """`data_dir` holds everything of this broker; `port` is its loopback port for clients."""
        self.data_dir = data_dir.resolve()
        self.port = port
        self.bootstrap = f"{_LOOPBACK}:{port}"
        self.log = self.data_dir / "broker.log"
        self._pid_file = self.data_dir / "broker.pid"
        self._properties = self.data_dir / "server.properties"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, timeout_s: float = START_TIMEOUT_S) -> BrokerStatus:
        """Start the broker and wait until it answers; a running one is left as it is.

        Raises `BrokerError` if Java, Maven or the port is not to be had, or if it does not answer in time.
        """
        if self.pid() is None:
            java = _require_program("java", "Java 17 (Debian: apt-get install openjdk-17-jre-headless)")
            jars = fetch_jars()
            if _port_is_open(self.port):
                raise BrokerError(
                    f"port {self.port} is already taken by another program; stop that one, {_ALTERNATIVE}"
                )
            self._configure(java, jars)
            self._launch(java, jars)
        self._wait_until_ready(timeout_s)
        return self.status()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Ask the broker to end, and wait; False if there was none. Raises `BrokerError` if it stays."""
        return self._end(signal.SIGTERM, timeout_s)

    def kill(self) -> bool:
        """End the broker as a power cut would (`kill -9`), for crash tests; False if there was none."""
        return self._end(signal.SIGKILL, STOP_TIMEOUT_S)

    def status(self) -> BrokerStatus:
        """Whether the process lives and whether it answers."""
        pid = self.pid()
        state: Literal["running", "starting", "stopped"] = "stopped"
        if pid is not None:
            state = "running" if self._answers() else "starting"
        return BrokerStatus(state, self.bootstrap, pid, self.data_dir, self.log)

    def pid(self) -> int | None:
        """The broker's process id, or None; a stale pid file counts as none."""
        if self._child is not None:
            return self._child.pid if self._child.poll() is None else None
        try:
            pid = int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if _is_broker(pid, self._properties) else None

    def _configure(self, java: str, jars: Path) -> None:
        """Write the properties and, on the first start, format the storage."""
        logs = self.data_dir / "logs"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        (self.data_dir / "log4j2.properties").write_text(_resource("log4j2.properties"))
        formatted = (logs / "meta.properties").exists()
        # The quorum's address is part of its identity: the controller keeps the port it was born with.
        controller_port = self._kept_controller_port() if formatted else None
        while controller_port is None or controller_port == self.port:
            controller_port = free_port()  # a port just found free may be found again
        self._properties.write_text(
            _resource("server.properties").format(
                host=_LOOPBACK, port=self.port, controller_port=controller_port, logs=logs
            )
        )
        if not formatted:
            command = [*self._java(java, jars), "kafka.tools.StorageTool", "format"]
            # With the sign: an id may begin with a hyphen.
            command += [f"--cluster-id={_new_cluster_id()}", "--config", str(self._properties)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise BrokerError(f"could not format {logs}: {_last_line(done.stdout + done.stderr)}")

    def _kept_controller_port(self) -> int | None:
        with contextlib.suppress(FileNotFoundError):
            for line in self._properties.read_text().splitlines():
                if line.startswith("controller.quorum.voters="):
                    return int(line.rpartition(":")[2])
        return None

    def _launch(self, java: str, jars: Path) -> None:
        command = [*self._java(java, jars), _MAIN_CLASS, str(self._properties)]
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal must not end the broker before its clients.
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._pid_file.write_text(str(self._child.pid))

    def _java(self, java: str, jars: Path) -> list[str]:
        return [
            java,
            "-Xms256m",
            "-Xmx1g",
            "-XX:+UseG1GC",
            f"-Dlog4j2.configurationFile={self.data_dir / 'log4j2.properties'}",
            "-cp",
            f"{jars}/*",
        ]

    def _wait_until_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.pid() is None:
                raise BrokerError(f"the broker ended while starting; see {self.log}: {self._last_log_line()}")
            if _port_is_open(self.port) and self._answers():
                return
            time.sleep(0.1)
        raise BrokerError(
            f"the broker did not answer on {self.bootstrap} in {timeout_s:.0f} s; see {self.log}"
        )

    def _answers(self) -> bool:
        """Whether the broker names itself to a client."""
        return _port_is_open(self.port) and is_reachable({"bootstrap.servers": self.bootstrap}, timeout_s=2.0)

    def _end(self, sign: signal.Signals, timeout_s: float) -> bool:
        pid = self.pid()
        if pid is None:
            self._pid_file.unlink(missing_ok=True)
            return False
        os.kill(pid, sign)
        deadline = time.monotonic() + timeout_s
        while self.pid() is not None:
            if time.monotonic() > deadline:
                raise BrokerError(f"the broker (pid {pid}) did not end in {timeout_s:.0f} s; see {self.log}")
            time.sleep(0.05)
        if self._child is not None:
            self._child.wait()
            self._child = None
        self._pid_file.unlink(missing_ok=True)
        return True

    def _last_log_line(self) -> str:
        return _last_line(self.log.read_text(errors="replace")) if self.log.exists() else "(no log)"


def dev_broker(settings: Settings) -> DevBroker:
    """The local broker of this deployment. Raises `BrokerError` if the settings point at another machine."""
    host, _, port = settings.kafka_bootstrap.rpartition(":")
    if host not in (_LOOPBACK, "localhost") or "," in settings.kafka_bootstrap:
        raise BrokerError(
            f"kafka_bootstrap is {settings.kafka_bootstrap}, not a port on this machine: "
            "that broker is not ours to start or stop; unset TWINS_KAFKA_BOOTSTRAP to use a local one"
        )
    return DevBroker(settings.data_dir / "broker", int(port))


def is_reachable(client_config: dict[str, Any], timeout_s: float) -> bool:
    """Whether a broker answers a metadata request within `timeout_s` seconds."""
    # Connection failures are an answer here, not an incident: keep librdkafka from printing them.
    quiet: dict[str, Any] = {"log_level": 0, "error_cb": lambda _error: None}
    admin = AdminClient(client_config | quiet)
    try:
        return bool(admin.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return False


def fetch_jars() -> Path:
    """The folder with the broker's jars, fetched by Maven the first time. Raises `BrokerError`."""
    jars = cache_dir() / f"kafka-{KAFKA_VERSION}"
    if jars.is_dir():
        return jars
    maven = _require_program("mvn", "Maven (Debian: apt-get install maven)")
    jars.parent.mkdir(parents=True, exist_ok=True)
    # Fetched beside its place and moved at the end: an interrupted download never looks complete, and two
    # processes that fetch at once do not meet.
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix=".fetch-") as scratch:
        pom = Path(scratch) / "pom.xml"
        pom.write_text(_resource("pom.xml"))
        libs = Path(scratch) / "libs"
        command = [
            maven,
            "-q",
            "-B",
            "-f",
            str(pom),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={libs}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not libs.is_dir():
            reason = _last_line(done.stdout + done.stderr)
            raise BrokerError(
                f"Maven could not fetch Kafka {KAFKA_VERSION} ({reason}); check the network, {_ALTERNATIVE}"
            )
        with contextlib.suppress(OSError):  # somebody else was first, with the same jars
            libs.rename(jars)
    return jars


def cache_dir() -> Path:
    """Where downloads of this user are shared between deployments and tests."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shopping-twins"


def free_port() -> int:
    """A loopback TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _resource(name: str) -> str:
    return resources.files("streams").joinpath("resources", "broker", name).read_text(encoding="utf-8")


def _require_program(name: str, what: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise BrokerError(
            f"the local broker needs {what}: `{name}` is not on the PATH; install it, {_ALTERNATIVE}"
        )
    return path


def _port_is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((_LOOPBACK, port)) == 0


def _is_broker(pid: int, properties: Path) -> bool:
    """Whether `pid` lives and is the Java process that was started with these properties."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return _MAIN_CLASS.encode() in arguments and str(properties).encode() in arguments


def _new_cluster_id() -> str:
    """A KRaft cluster id: 16 random bytes, URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"

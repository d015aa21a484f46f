"""What a process says about itself: metrics, health, JSON logs and a file that names it while it runs.

with Telemetry("updater", settings) as telemetry:
    lines = telemetry.counter("lines", "Receipt lines folded")
    telemetry.ready()
    ...
    lines.inc(len(batch))  # once a batch, never once an event
    telemetry.beat()
"""

from streams.telemetry.logs import configure_logging
from streams.telemetry.process import Telemetry
from streams.telemetry.run_files import RunningProcess, running_processes
from streams.telemetry.staged import StagedCounts

__all__ = ["RunningProcess", "StagedCounts", "Telemetry", "configure_logging", "running_processes"]

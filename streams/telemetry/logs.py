"""Logging of a process: JSON or text lines on stderr, without secrets and without customer ids.

Whatever a caller passes as `extra={"customer_id": ...}` is replaced by a pseudonym, and the deployment's secrets
are cut out of every line, wherever they came from.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import sys
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from streams.settings import Settings
from twin_store.messages.base import format_instant

PSEUDONYM_BYTES = 12
PERSONAL_FIELDS = ("customer_id", "anonymous_id")
SECRET_LENGTH_MIN = 4  # a shorter one would be cut out of ordinary words
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# Without a key of the deployment's, ids can still be followed through the log of one process.
_process_key = secrets.token_bytes(16)


def configure_logging(process: str, settings: Settings) -> None:
    """Send this process's logging to stderr, in the format and from the level of the settings."""
    formatter: logging.Formatter
    if settings.log_format == "json":
        formatter = JsonFormatter(process, settings)
    else:
        formatter = TextFormatter(process, settings)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: at, level, process, pid, logger, message, the extra fields, and the traceback."""

    def __init__(self, process: str, settings: Settings) -> None:
        super().__init__()
        self._process = process
        self._secrets = _secret_values(settings)
        self._key = _log_key(settings)

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, Any] = {
            "at": format_instant(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname,
            "process": self._process,
            "pid": os.getpid(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= _extra(record, self._key)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _without(json.dumps(line, default=str, ensure_ascii=False), self._secrets)


class TextFormatter(logging.Formatter):
    """`12:00:00.123 INFO updater: message field=value`, and the traceback below."""

    def __init__(self, process: str, settings: Settings) -> None:
        super().__init__()
        self._process = process
        self._secrets = _secret_values(settings)
        self._key = _log_key(settings)

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, with its traceback on the lines below."""
        at = datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")[:-3]
        fields = "".join(f" {name}={value}" for name, value in _extra(record, self._key).items())
        text = f"{at} {record.levelname} {self._process}: {record.getMessage()}{fields}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return _without(text, self._secrets)


def _extra(record: logging.LogRecord, key: bytes) -> dict[str, Any]:
    """What the caller passed as `extra`, personal fields replaced."""
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    for name in PERSONAL_FIELDS:
        if fields.get(name) is not None:
            fields[name] = _keyed(key, str(fields[name]))
    return fields


def _log_key(settings: Settings) -> bytes:
    if settings.pseudonym_key is None:
        return _process_key
    return settings.pseudonym_key.get_secret_value().encode()


def _keyed(key: bytes, text: str) -> str:
    # blake2b takes keys of up to 64 bytes; a longer one is hashed down to that.
    short = key if len(key) <= 64 else hashlib.blake2b(key).digest()
    return hashlib.blake2b(text.encode(), digest_size=PSEUDONYM_BYTES, key=short).hexdigest()


def _secret_values(settings: Settings) -> list[str]:
    """Every secret of the settings, as it stands and as JSON would write it; the longest first."""
    values = set()
    for name in Settings.model_fields:
        secret = getattr(settings, name)
        if isinstance(secret, SecretStr) and len(secret.get_secret_value()) >= SECRET_LENGTH_MIN:
            plain = secret.get_secret_value()
            values |= {plain, json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1]}
    return sorted(values, key=len, reverse=True)


def _without(text: str, values: list[str]) -> str:
    for value in values:
        text = text.replace(value, "***")
    return text

"""vLLM's own OpenAI server on loopback, as a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from tests.trainer.vllm.made_adapters import Made
from trainer.base_model import BaseModel

BASE_NAME, ADAPTER = "shop", "families"
KEY = "a-key-of-this-test-alone"
START_S = 400.0
# As the engine is started in these tests: one thread, one process for the model, nothing compiled, nobody asked.
ALONE = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "TORCH_COMPILE_DISABLE": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}


class VllmServer:
    """Serves a base as `shop`, and adapters by their names, while it is a context; `wait` until it does."""

    def __init__(
        self, base: BaseModel, adapters: Mapping[str, Path], key: str, log: Path, tokens_max: int = 1_024
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        self._log = log
        self._key = key
        modules = [f"{name}={folder}" for name, folder in adapters.items()]
        self._command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
        self._command += ["--host", "127.0.0.1", "--port", str(port)]
        self._command += ["--model", str(base.folder), "--served-model-name", BASE_NAME]
        self._command += ["--load-format", "safetensors", "--dtype", "float32", "--enforce-eager"]
        self._command += ["--generation-config", "vllm", "--max-model-len", str(tokens_max)]
        self._command += ["--kv-cache-memory-bytes", str(256 << 20), "--scheduling-policy", "priority"]
        # A slot more than adapters: on a CPU the last one must stay empty, or the base's rows go through it.
        self._command += ["--enable-lora", "--max-loras", str(len(modules) + 1), "--max-lora-rank", "8"]
        self._command += ["--lora-modules", *modules]

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            environment = {**os.environ, **ALONE, "VLLM_API_KEY": self._key}
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait(self) -> None:
        """Until it answers. Raises `RuntimeError` if it has ended, `TimeoutError` if it takes too long."""
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended: {self._log.read_text()[-3_000:]}")
            try:
                if httpx.get(self.url.removesuffix("/v1") + "/health", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.5)
        raise TimeoutError(f"the server does not start: {self._log.read_text()[-3_000:]}")


@dataclass(frozen=True)
class Served:
    """A server that was started, and what it serves as `ADAPTER`."""

    server: VllmServer
    adapter: Made
    folder: Path

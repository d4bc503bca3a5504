"""Processor time by process: who is busy during a round, and what the machine is."""

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psutil
import redis
from elasticsearch import Elasticsearch

ELASTICSEARCH: Final = "Elasticsearch"
REDIS: Final = "Redis"
BENCH: Final = "this program"
OTHERS: Final = "everything else"


def servers(client: Elasticsearch, broker: redis.Redis) -> dict[str, int]:
    """The process ids of both servers where they run on this machine (not in a container)."""
    nodes = client.nodes.info(metric="process")["nodes"]
    (node,) = nodes.values()
    told = {ELASTICSEARCH: (node["process"]["id"], "java")}
    info: Any = broker.info("server")
    told[REDIS] = (info["process_id"], "redis")
    return {name: pid for name, (pid, program) in told.items() if _is(pid, program)}


def _is(pid: int, program: str) -> bool:
    try:
        return psutil.Process(pid).name().startswith(program)
    except psutil.Error:
        return False


class Usage:
    """Measures from its making to `cores`."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._processes[BENCH] = psutil.Process()
        self._began = time.monotonic()
        self._before = self._seconds()

    def cores(self) -> dict[str, float]:
        """How many cores each process kept busy since then; 1.0 is one whole core."""
        elapsed = time.monotonic() - self._began
        after = self._seconds()
        return {name: (after[name] - self._before[name]) / elapsed for name in after}

    def _seconds(self) -> dict[str, float]:
        spent = {name: _cpu_seconds(process) for name, process in self._processes.items()}
        machine = psutil.cpu_times()
        idle = machine.idle + getattr(machine, "iowait", 0.0)
        busy = sum(machine) - idle - getattr(machine, "guest", 0.0)
        return spent | {OTHERS: busy - sum(spent.values())}


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def machine() -> dict[str, Any]:
    """Cores, memory and processor; nothing that names the machine."""
    return {
        "cores": os.cpu_count(),
        "memoryGiB": round(psutil.virtual_memory().total / 2**30, 1),
        "processor": _processor(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    if file.is_file():
        for line in file.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

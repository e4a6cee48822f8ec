"""Builds the web console into wheel and sdist, or says why that cannot be: a package without it serves no page."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_NODE_MAJOR_MIN = 20
_HINT = "run `make wheel` in a clone, which installs Node if it must, or install a wheel"


class ConsoleHook(BuildHookInterface):
    """Called by hatchling before it collects files (pyproject.toml)."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """An editable installation takes the console from where `make console` puts it, whenever that is."""
        root = Path(self.root)
        if version != "editable" and not (root / "src/allthings/console/static/index.html").is_file():
            _build(root / "web-console")


def _build(sources: Path) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise RuntimeError(f"the web console is not built, and there is no Node to build it with: {_HINT}")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(said.strip().lstrip("v").split(".")[0]) < _NODE_MAJOR_MIN:
        raise RuntimeError(f"the web console is not built, and Node {said.strip()} is older than 20: {_HINT}")
    for step in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
        done = subprocess.run([npm, *step], cwd=sources, env=os.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(
                f"the web console cannot be built: npm {' '.join(step)} says\n{done.stderr[-2000:]}\n{_HINT}"
            )

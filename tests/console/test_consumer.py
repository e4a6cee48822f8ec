"""A Web of Things consumer that is not ours reads a thing from the description as it is served, with a token."""

from __future__ import annotations

import asyncio
import json
import shutil
import sysconfig
from pathlib import Path

import pytest

from tests.console.conftest import Console

JAVASCRIPT = Path(__file__).parents[1] / "javascript"
NODE = shutil.which("node") or shutil.which("node", path=sysconfig.get_path("scripts"))
ROWS: list[dict[str, object]] = [
    {"thing": "consumed", "property": "pressure", "value": 231.5},
    {"thing": "consumed", "property": "on", "value": True},
    {"thing": "consumed", "property": "mode", "value": "eco"},
]


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
@pytest.mark.skipif(not (JAVASCRIPT / "node_modules").exists(), reason="node-wot is not installed; `make test` does it")
async def test_node_wot_reads_every_property(console: Console) -> None:
    console.upload(ROWS)
    console.wait_for("/api/things?search=consumed", lambda page: len(page["things"]) == 1)
    console.wait_for("/api/current?thing=consumed", lambda page: len(page["values"]) == 3)
    token = console.api.post("/api/tokens", json={"label": "node-wot"}).raise_for_status().json()["token"]
    process = await asyncio.create_subprocess_exec(
        *(str(NODE), str(JAVASCRIPT / "consume.cjs"), f"{console.url}/things/consumed", token),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        answer, trouble = await process.communicate()
    assert process.returncode == 0, trouble.decode()[-2000:]
    expected = {str(row["property"]): row["value"] for row in ROWS}
    assert json.loads(answer) == {"one": expected, "all": expected}

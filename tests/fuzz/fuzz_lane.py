"""Coverage-guided fuzzing of the lane with atheris: it takes what the codec says is for it, and nothing else.

    python tests/fuzz/fuzz_lane.py -max_total_time=600

See lane_inputs for what an input means. The seeds are packets as they should be, and changed in a byte.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

with atheris.instrument_imports(include=["allthings.mqtt"]):
    from allthings.mqtt import codec, frames  # noqa: F401

# Without atheris: it works on all bytes in the same lines, and atheris keeps each array that it sees compared.
from allthings.gateway.ring import Ring
from tests.fuzz.lane_inputs import LASTS, Gate

_DEFAULTS = ("-timeout=10", "-rss_limit_mb=1024", "-max_len=257")


def seeds(folder: Path) -> None:
    for number, last in enumerate(LASTS):
        packet = last.packet(b"payload")
        for at in range(len(packet)):
            changed = packet[:at] + bytes((packet[at] ^ 1,)) + packet[at + 1 :]
            (folder / f"{number}-{at}").write_bytes(bytes((number,)) + changed)
        (folder / f"{number}").write_bytes(bytes((number,)) + packet)


def main() -> None:
    ring = Ring.open(1)
    if ring is None:
        sys.exit("this machine allows no io_uring: nothing to fuzz")
    gate = Gate(ring)
    with tempfile.TemporaryDirectory(prefix="fuzz-lane-") as folder:
        seeds(Path(folder))
        asked = {argument.split("=")[0] for argument in sys.argv[1:]}
        arguments = [each for each in _DEFAULTS if each.split("=")[0] not in asked]
        atheris.Setup([sys.argv[0], *arguments, *sys.argv[1:], folder], gate.look)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

"""The process of a role: a module that is run with what every role needs from its first import on."""

from __future__ import annotations

import runpy
import sys

from allthings.runtime import memory


def command(module: str) -> list[str]:
    """What runs `module` as a role; its arguments may follow."""
    return [sys.executable, "-m", __name__, module]


def main() -> None:
    """Run the module that the command line names."""
    # Before the role's own imports: some of them make an array.
    memory.do_without_pandas()
    memory.stay_small()
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

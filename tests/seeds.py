"""The seed of a test that chooses at random: the same in each `make test`, another each time in `make soak`."""

from __future__ import annotations

import os
import random

#: `make test` takes this one; another is given as ALLTHINGS_SEED to meet a failure of `make soak` again.
_REPEATABLE = 20261130


def seed() -> int:
    """A seed, printed so that a failure shows it."""
    if "ALLTHINGS_SEED" in os.environ:
        chosen = int(os.environ["ALLTHINGS_SEED"])
    elif os.environ.get("ALLTHINGS_EXAMPLES") == "random":
        chosen = random.randrange(1 << 31)
    else:
        chosen = _REPEATABLE
    print("seed", chosen)
    return chosen

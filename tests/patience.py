"""How long a test waits for what must come.

A test waits for an event, and never for a while: how long a thing takes depends on what else the
computer does. `test_house.py` finds waits that are not of this kind.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinov3_sim.session import SimilaritySession

PATIENCE = float(os.environ.get("PATIENCE", "300"))
"""Seconds after which what has not come never will; say more where a computer is very busy."""


def wait_until(
    condition: Callable[[], object], meanwhile: Callable[[], object] | None = None
) -> None:
    """Wait until a condition holds, for as long as `PATIENCE`.

    Parameters
    ----------
    condition : callable
    meanwhile : callable, optional
        Called until then, such as what delivers messages; by default another thread or process
        goes on.
    """
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        if meanwhile is None:
            time.sleep(0.005)
        else:
            meanwhile()


def deliver_until(session: SimilaritySession, condition: Callable[[], object]) -> None:
    """Hand out what the workers of a session send, until a condition holds."""
    wait_until(condition, lambda: session._runner.deliver(0.05))

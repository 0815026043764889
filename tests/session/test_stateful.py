"""Whatever a user does, in whatever order: what is seen is true, and the user's stays so.

The rules and what must hold are in the folder `stateful`.
"""

from __future__ import annotations

import os
from itertools import count
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant

from .stateful.channel_rules import ChannelRules
from .stateful.dock_rules import DockRules
from .stateful.gallery_rules import GalleryRules
from .stateful.history_rules import HistoryRules
from .stateful.image_rules import ImageRules
from .stateful.naive import Naive
from .stateful.point_rules import PointRules
from .stateful.project_rules import ProjectRules
from .stateful.region_rules import RegionRules
from .stateful.result_rules import ResultRules
from .stateful.saved_rules import SavedRules
from .stateful.view_rules import StackRules, ViewRules

pytestmark = pytest.mark.slow

STEPS: list[int] = []


def teardown_module():
    """Say how many steps were taken, each followed by a comparison; seen with ``-s`` alone."""
    print(f"\n{len(STEPS)} steps")  # noqa: T201


class Flat(
    ImageRules,
    ChannelRules,
    PointRules,
    RegionRules,
    HistoryRules,
    SavedRules,
    DockRules,
    ResultRules,
    GalleryRules,
    ProjectRules,
    ViewRules,
    RuleBasedStateMachine,
):
    """Flat images and everything that can be done to them."""

    def __init__(self) -> None:
        super().__init__()
        self.naive = Naive()
        self.numbers = count()
        self.touched: list = []
        self.folder = TemporaryDirectory()

    def teardown(self) -> None:
        self.folder.cleanup()
        self.naive.close()

    @property
    def session(self):
        return self.naive.session

    @invariant()
    def what_is_seen_is_true(self):
        STEPS.append(1)
        self.naive.check_all()


class Stacks(StackRules, Flat):
    """Stacks among them: planes, sliders, all planes at once, 3-D."""


def machine(number_of_examples: int) -> settings:
    return settings(
        max_examples=number_of_examples,
        stateful_step_count=50,
        deadline=None,
        derandomize="STATEFUL_RANDOM" not in os.environ,
        # Shrinking a failure takes minutes; add Phase.shrink to have it.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
        print_blob=False,
    )


EXAMPLES = int(os.environ.get("STATEFUL_EXAMPLES", "16"))

TestFlat = Flat.TestCase
TestFlat.settings = machine(EXAMPLES // 2)

TestStacks = Stacks.TestCase
TestStacks.settings = machine(EXAMPLES - EXAMPLES // 2)

"""The status line: what it depends on is gathered from all rooms, and changes are told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_dinov3_sim.session.inquiry import is_only_negative, kinds_without_positive
from napari_dinov3_sim.session.status import Situation, StackProgress, describe

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari_dinov3_sim.session.atlas import Atlas
    from napari_dinov3_sim.session.overlays import Overlays
    from napari_dinov3_sim.session.picking import Picking
    from napari_dinov3_sim.session.planes import Plane
    from napari_dinov3_sim.session.questions import AnyPick
    from napari_dinov3_sim.session.regions import Regions
    from napari_dinov3_sim.session.saved import SavedPicks
    from napari_dinov3_sim.session.signals import Signals


class Reporting:
    """Says what is going on; looks at all rooms and changes nothing.

    Parameters
    ----------
    signals : Signals
    atlas : Atlas
    picking : Picking
    overlays : Overlays
    regions : Regions
    saved : SavedPicks

    Attributes
    ----------
    status : str
        One line that says what is going on and what to do next.
    """

    def __init__(
        self,
        signals: Signals,
        atlas: Atlas,
        picking: Picking,
        *,
        overlays: Overlays,
        regions: Regions,
        saved: SavedPicks,
    ) -> None:
        self._signals, self._atlas, self._picking = signals, atlas, picking
        self._overlays, self._regions, self._saved = overlays, regions, saved
        self.status = ""

    def report(
        self,
        planes: Collection[Plane],
        picks: tuple[AnyPick, ...],
        *,
        busy: bool,
        all_planes: bool,
    ) -> None:
        """Tell the status if it has changed.

        Parameters
        ----------
        planes : collection of Plane
            Those that are shown.
        picks : tuple of AnyPick
        busy : bool
            Whether something is being embedded or answered.
        all_planes : bool
            Whether that is to be done for all planes of stacks.
        """
        now = self._situation(planes, picks, busy=busy)
        if busy and all_planes:
            now = replace(now, stacks=self._stacks(planes))
        status = describe(now)
        if status != self.status:
            self.status = status
            self._signals.status_changed.emit(status)

    def _stacks(self, shown: Collection[Plane]) -> StackProgress:
        layers = {plane.key.layer for plane in shown}
        return StackProgress(
            sum(plane.stack_size for plane in shown),
            sum(key.layer in layers for key in self._atlas.embedder.planes()),
            sum(key.layer in layers for key in self._atlas.answers.planes()),
        )

    def _situation(
        self, planes: Collection[Plane], picks: tuple[AnyPick, ...], *, busy: bool
    ) -> Situation:
        targets, embedder = self._atlas.targets, self._atlas.embedder
        queries = self._picking.queries
        return Situation(
            images=len(targets.records()),
            targets=len(targets.layers()),
            planes=len(planes),
            points=len(queries),
            outside=queries.outside,
            ignored=queries.ignored,
            embedded=sum(embedder.handle(plane.key) is not None for plane in planes),
            levels=tuple(
                f"{plane.name} is searched at level {plane.level}."
                for plane in planes
                if plane.level
            ),
            model=embedder.model,
            three_d=self._atlas.viewer.dims.ndisplay == 3,
            grid=self._picking.in_grid,
            busy=busy,
            model_failed=embedder.model_failed,
            answered=len(self._overlays.heatmaps.items()),
            regions=self._regions.count,
            regions_outside=self._regions.outside,
            saved=self._saved.count,
            saved_remark=self._saved.remark,
            only_negative=is_only_negative(picks),
            without_positive=kinds_without_positive(picks),
        )

"""Where layers lie, how they are shown and what their tables hold, as records, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.text import writable
from napari_dinov3_sim.store.project.records import (
    ColormapRecord,
    ColumnRecord,
    LookRecord,
    PlacementRecord,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from napari.layers import Layer


def placement_record(layer: Layer) -> PlacementRecord:
    """Return where a layer lies."""
    ndim = layer.ndim
    affine = np.asarray(layer.affine.affine_matrix, float)
    rotate, shear = np.asarray(layer.rotate, float), np.asarray(layer.shear, float)
    return PlacementRecord(
        _vector(layer.scale),
        _vector(layer.translate),
        tuple(str(unit) for unit in layer.units),
        tuple(writable(str(label)) for label in layer.axis_labels),
        None if np.array_equal(rotate, np.eye(ndim)) else _matrix(rotate),
        None if not shear.any() else _matrix(shear) if shear.ndim == 2 else _vector(shear),
        None if np.array_equal(affine, np.eye(ndim + 1)) else _matrix(affine),
    )


def _vector(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _matrix(values: Any) -> tuple[tuple[float, ...], ...]:
    return tuple(_vector(row) for row in values)


def placement_arguments(record: PlacementRecord) -> dict[str, Any]:
    """Return what a layer is made with to lie where another one lay."""
    found: dict[str, Any] = {
        "scale": record.scale,
        "translate": record.translate,
        "units": record.units,
        "axis_labels": record.axis_labels,
    }
    for name in ("rotate", "shear", "affine"):
        value = getattr(record, name)
        if value is not None:
            found[name] = np.array(value)
    return found


def look_of(layer: Any) -> LookRecord:
    """Return how an image, labels or points are shown."""
    limits = getattr(layer, "contrast_limits", None)
    colormap = getattr(layer, "colormap", None)
    is_image = limits is not None and not getattr(layer, "rgb", False)
    return LookRecord(
        bool(layer.visible),
        float(layer.opacity),
        str(layer.blending),
        _vector(limits) if is_image else None,
        float(layer.gamma) if is_image else 1.0,
        _colormap_record(colormap) if is_image else None,
        str(getattr(layer, "interpolation2d", "nearest")),
    )


def look_arguments(record: LookRecord) -> dict[str, Any]:
    """Return what a layer is made with to be shown as another one was."""
    found: dict[str, Any] = {
        "visible": record.visible,
        "opacity": record.opacity,
        "blending": record.blending,
    }
    if record.contrast_limits is not None:
        found |= {"contrast_limits": record.contrast_limits, "gamma": record.gamma}
    if record.colormap is not None:
        found["colormap"] = _colormap_of(record.colormap)
    return found


def _colormap_record(colormap: Any) -> ColormapRecord:
    from napari.utils.colormaps import AVAILABLE_COLORMAPS

    known = AVAILABLE_COLORMAPS.get(colormap.name)
    colours = np.asarray(colormap.colors, float)
    if known is not None and np.array_equal(known.colors, colormap.colors):
        return ColormapRecord(str(colormap.name))
    return ColormapRecord(
        writable(str(colormap.name)),
        tuple(tuple(map(float, row)) for row in colours),
        _vector(colormap.controls),
        "zero" if str(getattr(colormap.interpolation, "value", "")) == "zero" else "linear",
    )


def _colormap_of(record: ColormapRecord) -> Any:
    from napari.utils import Colormap

    if record.colours is None:
        return record.name
    return Colormap(
        np.array(record.colours),
        name=record.name,
        controls=None if record.controls is None else list(record.controls),
        interpolation=record.interpolation,
    )


def columns_of(features: Any, left_out: Collection[str] = ()) -> tuple[ColumnRecord, ...]:
    """Return the columns of a DataFrame; what is neither number nor text becomes text."""
    return tuple(
        ColumnRecord(writable(str(name)), tuple(map(_cell, features[name])))
        for name in features
        if name not in left_out
    )


def _cell(value: Any) -> bool | int | float | str | None:
    if value is None or isinstance(value, str):
        return None if value is None else writable(value)
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return None if value != value else writable(str(value))  # noqa: PLR0124 - NaN and NaT


def features_of(columns: Sequence[ColumnRecord], count: int) -> Any:
    """Return a DataFrame of so many rows; columns of another length are left out."""
    import pandas as pd  # type: ignore[import-untyped]

    found = {each.name: _values(each) for each in columns if len(each.values) == count}
    return pd.DataFrame(found, index=range(count))


def _values(column: ColumnRecord) -> Any:
    values = column.values
    types = {type(value) for value in values if value is not None}
    if types <= {int, float} and (types or not values) and bool not in types:
        is_whole = types == {int} and None not in values
        return np.array([np.nan if v is None else v for v in values], int if is_whole else float)
    if types == {bool} and None not in values:
        return np.array(values, bool)
    return np.array(values, object)

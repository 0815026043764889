"""Class and sign of each query point, in the features of the layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.search.combine import DEFAULT_CLASS
from napari_dinov3_sim.session.layers.style import darkened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Points, Shapes

    from napari_dinov3_sim.session.layers.style import Palette

CLASS, SIGN = "class", "sign"
"""Columns of ``layer.features``."""

ID = "point id"
"""The column of numbers by which points are known again: napari keeps the rows with the points."""

FORMER_CLASS = "kind"
"""The column of classes before 0.2, read where the other says nothing."""

POSITIVE, NEGATIVE = "positive", "negative"
SYMBOLS = {True: "disc", False: "cross"}


@dataclass(frozen=True)
class PointRole:
    """What a point says: which class, and whether it is that or is not."""

    class_name: str = DEFAULT_CLASS
    positive: bool = True

    @property
    def sign(self) -> str:
        """What the column of signs says."""
        return POSITIVE if self.positive else NEGATIVE

    def renamed(self, old: str, new: str) -> PointRole:
        """Return the role after a class has got another name."""
        return replace(self, class_name=new) if self.class_name == old else self


def read_roles(
    layer: Points | Shapes, default: str = DEFAULT_CLASS, *, positive: bool = True
) -> list[PointRole]:
    """Return the role of each point or shape; what is in the columns is read as far as it can be.

    Parameters
    ----------
    layer : napari.layers.Points or napari.layers.Shapes
    default : str
        The class of those that have none.
    positive : bool
        The sign of those that have none.
    """
    features, count = layer.features, len(layer.data)
    classes = [default] * count
    for name in (FORMER_CLASS, CLASS):
        if name in features:
            rows = zip(features[name], classes, strict=True)
            classes = [_class_name(value, otherwise) for value, otherwise in rows]
    signs = list(features[SIGN]) if SIGN in features else [None] * count
    return [
        PointRole(class_name, positive if _is_missing(sign) else _is_positive(sign))
        for class_name, sign in zip(classes, signs, strict=True)
    ]


def _class_name(value: Any, default: str = DEFAULT_CLASS) -> str:
    return default if _is_missing(value) else str(value).strip()


def _is_missing(value: Any) -> bool:
    nothing = value is None or value != value  # noqa: PLR0124 - NaN differs from itself
    return bool(nothing or not str(value).strip())


def _is_positive(value: Any) -> bool:
    text = str(value).strip().lower()
    return not (text.startswith(("neg", "-", "−")) or text in ("false", "0"))


def read_ids(layer: Points) -> list[int]:
    """Return the number of each point, 0 where the column holds none."""
    features = layer.features
    return [_number(value) for value in features[ID]] if ID in features else [0] * len(features)


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0


def write_ids(layer: Points, ids: Sequence[int], before: int) -> None:
    """Number the points, of which some were there before.

    Where those keep their numbers it is done in place, for nothing that anybody listens for has
    changed. Else the table is replaced: a program that sorts points holds on to the former one.
    """
    if ID in layer.features and read_ids(layer)[:before] == list(ids[:before]):
        layer.features[ID] = np.array(ids, int)
    else:
        set_features(layer, layer.features.assign(**{ID: np.array(ids, int)}))


def write_roles(layer: Points, roles: Sequence[PointRole]) -> None:
    """Set class and sign of every point; other columns stay."""
    features = layer.features.copy()
    if ID not in features:
        features[ID] = np.zeros(len(roles), int)
    set_features(layer, with_roles(features, roles))


def with_roles(features: Any, roles: Sequence[PointRole]) -> Any:
    """Return the features of points or shapes, a DataFrame, with other classes and signs."""
    # Of no rows at all, pandas would make columns of floats, which take no name later.
    columns = {
        CLASS: np.array([role.class_name for role in roles], object),
        SIGN: np.array([role.sign for role in roles], object),
    }
    return features.assign(**columns)


def add_missing_columns(layer: Points) -> bool:
    """Give a layer our columns; return whether it lacked one.

    The user may have set features without them, and napari takes no default for the next point
    in a column that is not there.
    """
    if all(name in layer.features for name in (CLASS, SIGN, ID)):
        return False
    write_roles(layer, read_roles(layer))
    return True


def set_features(layer: Points, features: Any) -> None:
    """Set the columns of a DataFrame; others stay, without values where points are new.

    What the next point will be stays too, which napari would forget; of a column of the user's
    that holds something else by now, say texts for numbers, it could not be set.
    """
    others = [name for name in layer.features if name not in features]
    defaults, types = layer.feature_defaults.copy(), dict(layer.features.dtypes)
    layer.features = features.reindex(columns=[*features, *others])
    present = layer.features
    kept = [n for n in defaults if n in (CLASS, SIGN) or present[n].dtype == types.get(n)]
    layer.feature_defaults = {**layer.feature_defaults, **defaults[kept]}


def with_users_columns(before: Any, now: Any, former: Sequence[int | None]) -> Any:
    """Return what features were, but the user's own columns as they are by now.

    Parameters
    ----------
    before, now : DataFrame
        One row for each point.
    former : sequence of int or None
        For each row of `before`, that of the same point in `now`; None if it is not there.
    """
    found = before.copy()
    rows = [-1 if row is None else row for row in former]
    for name in (name for name in now if name not in (CLASS, SIGN, ID)):
        values = now[name].reindex(rows).set_axis(found.index)
        if name in found:
            values = values.where(np.array(rows, int) >= 0, found[name])
        found[name] = values
    return found


def current_role(layer: Points) -> PointRole:
    """Return the role that the next point will have."""
    defaults = layer.feature_defaults
    class_name = defaults[CLASS][0] if CLASS in defaults else DEFAULT_CLASS
    sign = defaults[SIGN][0] if SIGN in defaults else POSITIVE
    return PointRole(_class_name(class_name), _is_positive(sign))


def set_current_role(layer: Points, role: PointRole, palette: Palette) -> None:
    """Set the role of the points to come; those that are selected keep theirs."""
    # pandas is imported by napari with its first Points layer.
    defaults = layer.feature_defaults.copy()
    defaults[CLASS] = [role.class_name]
    defaults[SIGN] = [role.sign]
    layer.feature_defaults = defaults
    with layer.block_update_properties():
        layer.current_symbol = SYMBOLS[role.positive]
        layer.current_border_color = colour_of(role, palette)


def colour_of(role: PointRole, palette: Palette) -> str:
    """Return what is drawn in which colour: that of its class, darker if it is negative."""
    colour = palette[role.class_name]
    return colour if role.positive else darkened(colour)


def draw_roles(layer: Points, roles: Sequence[PointRole], palette: Palette) -> None:
    """Colour points by class, negative ones darker and with a cross; nothing is set in vain."""
    from napari.utils.colormaps.standardize_color import transform_color

    if not roles:
        return
    colours = transform_color([colour_of(role, palette) for role in roles])
    if not np.array_equal(layer.border_color, colours):
        layer.border_color = colours
    symbols = [SYMBOLS[role.positive] for role in roles]
    if [str(symbol) for symbol in layer.symbol] != symbols:
        layer.symbol = symbols

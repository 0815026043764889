"""Shapes and labels of the user's ask, are edited, and ask no more."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from .choices import CLASS, MOVE, NAME, NUMBER, SIGN, STEP, with_images
from .drawn import LabelsSaid, ShapesSaid

MOST = 2


def layers_of(self, sort) -> list:
    """The user's layers that ask, of one sort."""
    regions = [r for r in self.naive.regions if r is not self.naive.boxes]
    return [r for r in regions if isinstance(r, sort)]


with_regions = precondition(lambda self: layers_of(self, object))
with_shapes = precondition(lambda self: any(r.roles for r in layers_of(self, ShapesSaid)))
with_drawn = precondition(lambda self: layers_of(self, ShapesSaid))
with_labels = precondition(lambda self: layers_of(self, LabelsSaid))
with_idle = precondition(lambda self: self.idle_regions())
with_few_shapes = precondition(lambda self: len(layers_of(self, ShapesSaid)) < MOST)
with_few_labels = precondition(lambda self: len(layers_of(self, LabelsSaid)) < MOST)


class RegionRules:
    """What is done to regions."""

    def chosen(self, number, sort):
        found = layers_of(self, sort)
        return found[number % len(found)]

    def given(self, number):
        """The image that regions are said to lie on, or None."""
        return self.image(number) if number % 2 else None

    def triangle(self, seed, image, ndim):
        """Corners over an image and beyond it, off the middle of pixels, in the world."""
        rng = np.random.default_rng(seed)
        places = np.zeros((3, image.ndim))
        places[:, -2:] = rng.uniform(-0.2, 1.2, (3, 2)) * image.data.shape[-2:]
        worlds = np.array([image.data_to_world(place)[-2:] for place in places])
        above = self.naive.viewer.dims.point[: ndim - 2]
        return np.array([(*above, *world) for world in worlds])

    def now_asks(self, region):
        naive = self.naive
        naive.regions.append(region)
        naive.settle()

    def edited(self, layer):
        self.naive.belongings.keep(layer)
        self.naive.settle()

    # -- shapes ----------------------------------------------------------------------------------

    @with_images
    @with_few_shapes
    @rule(number=NUMBER, seed=NUMBER, classes=st.lists(st.none() | CLASS, max_size=2), named=NAME)
    def draw(self, number, seed, classes, named):
        naive, image = self.naive, self.image(number)
        ndim = naive.viewer.dims.ndim if seed % 2 else 2
        corners = [self.triangle([seed, n], image, ndim) for n in range(len(classes))]
        how = {"name": named, "ndim": ndim, "metadata": {"mine": seed}}
        if corners:
            how |= {"shape_type": "polygon", "features": {"class": np.array(classes, object)}}
        add = naive.viewer.add_shapes
        layer = naive.bring(lambda: add(corners or None, **how))
        self.session.regions.add(layer, self.given(number))
        self.now_asks(
            ShapesSaid(layer, self.given(number), [(class_name, True) for class_name in classes])
        )

    @with_images
    @with_drawn
    @rule(number=NUMBER, at=NUMBER, seed=NUMBER, class_name=st.none() | CLASS, positive=SIGN)
    def draw_another(self, number, at, seed, class_name, positive):
        region = self.chosen(number, ShapesSaid)
        if len(region.roles) < MOST + 1:
            corners = self.triangle(seed, self.image(at), region.layer.ndim)
            region.added((class_name, positive))
            region.layer.add([corners], shape_type="polygon")
            self.say_roles(region)

    @with_shapes
    @rule(number=NUMBER, at=NUMBER, class_name=st.none() | CLASS, positive=SIGN)
    def say_what_a_shape_is(self, number, at, class_name, positive):
        region = self.chosen(number, ShapesSaid)
        if region.roles:
            region.roles[at % len(region.roles)] = class_name, positive
            self.say_roles(region)

    def say_roles(self, region):
        signs = ["positive" if positive else "negative" for _, positive in region.roles]
        classes = np.array([class_name for class_name, _ in region.roles], object)
        region.layer.features = {"class": classes, "sign": np.array(signs, object)}
        self.edited(region.layer)

    @with_shapes
    @rule(number=NUMBER, at=NUMBER, dy=STEP, dx=STEP)
    def move_shape(self, number, at, dy, dx):
        """As napari drags it: it tells of no more than that it is drawn again."""
        region = self.chosen(number, ShapesSaid)
        if region.roles and region.layer.visible:
            at %= len(region.roles)
            before = region.layer.data[at].copy()
            region.layer._data_view.shift(at, np.array([dy, dx]))
            if not np.array_equal(region.layer.data[at], before):  # a step may be too small
                region.moved(at)
            region.layer.refresh()
            self.edited(region.layer)

    @with_shapes
    @rule(number=NUMBER, at=NUMBER)
    def delete_shape(self, number, at):
        region = self.chosen(number, ShapesSaid)
        if region.roles:
            at %= len(region.roles)
            region.layer.selected_data = {at}
            region.layer.remove_selected()
            region.deleted(at)
            self.edited(region.layer)

    # -- labels ----------------------------------------------------------------------------------

    @with_images
    @with_few_labels
    @rule(number=NUMBER, seed=NUMBER, aligned=st.booleans())
    def label(self, number, seed, aligned):
        naive, image = self.naive, self.image(number)
        if aligned:
            names = ("scale", "rotate", "shear", "translate")
            how = {name: getattr(image, name) for name in names}
        else:
            beside = [1] * (image.ndim - 2)
            how = {"scale": (*[2 * one for one in beside], 1.371, 0.713), "rotate": seed % 60}
        data, name = self.labels_of(seed, image.data.shape), f"seg{seed % 3}"
        add = naive.viewer.add_labels
        layer = naive.bring(lambda: add(data, name=name, metadata={"mine": seed}, **how))
        self.session.regions.add(layer, self.given(number))
        self.now_asks(LabelsSaid(layer, self.given(number), naive))

    def labels_of(self, seed, shape):
        """Blocks of two labels, or nothing at all."""
        rng = np.random.default_rng(seed)
        values = np.zeros(shape, np.uint8)
        for number in range(seed % 3):
            y, x = (int(rng.integers(0, size)) for size in shape[-2:])
            values[..., y : y + 20, x : x + 20] = number + 1
        return values

    @with_labels
    @rule(number=NUMBER, fy=st.floats(0, 0.99), fx=st.floats(0, 0.99), value=st.integers(0, 3))
    def paint(self, number, fy, fx, value):
        naive, region = self.naive, self.chosen(number, LabelsSaid)
        layer = region.layer
        if not layer.visible:
            # Nobody can paint there; napari's data_setitem (0.9.2) raises IndexError, because what
            # it draws is that of when the layer was last seen, or one pixel.
            return
        y, x = (int(f * n) for f, n in zip((fy, fx), layer.data.shape[-2:], strict=True))
        where = [part.ravel() for part in np.mgrid[y : y + 9, x : x + 9]]
        inside = (where[0] < layer.data.shape[-2]) & (where[1] < layer.data.shape[-1])
        where = [part[inside] for part in where]
        if layer.ndim == 3:
            at = int(np.round(layer.world_to_data(naive.viewer.dims.point)[0]))
            if not 0 <= at < len(layer.data):
                return
            where.insert(0, np.full(len(where[0]), at))
        if (layer.data[tuple(where)] == value).all():
            return
        layer.data_setitem(tuple(where), value)
        region.edited(naive)
        self.edited(layer)

    @with_labels
    @rule(number=NUMBER, seed=NUMBER)
    def label_anew(self, number, seed):
        region = self.chosen(number, LabelsSaid)
        region.layer.data = self.labels_of(seed, region.layer.data.shape)
        region.edited(self.naive)
        self.edited(region.layer)

    # -- both ------------------------------------------------------------------------------------

    @with_regions
    @rule(number=NUMBER, move=MOVE)
    def move_regions(self, number, move):
        layer = self.chosen(number, object).layer
        layer.translate = (*layer.translate[:-2], *move)
        self.edited(layer)

    @with_regions
    @rule(number=NUMBER, gone=st.booleans())
    def clear_requests(self, number, gone):
        """The layer stays or goes."""
        naive, region = self.naive, self.chosen(number, object)
        naive.regions.remove(region)
        if gone:
            naive.remove(region.layer)
            naive.belongings.forget(region.layer)
        else:
            self.session.regions.remove(region.layer)
        naive.settle()

    def idle_regions(self) -> list:
        asking = [region.layer for region in self.naive.regions]
        return [c for c in self.session.regions.candidates() if c not in asking]

    @with_images
    @with_idle
    @rule(number=NUMBER, image=NUMBER)
    def request_again(self, number, image):
        idle = [layer for layer in self.idle_regions() if layer in self.naive.belongings]
        layer, given = idle[number % len(idle)], self.given(image)
        self.session.regions.add(layer, given)
        if hasattr(layer, "shape_type"):
            self.now_asks(ShapesSaid(layer, given, roles_in(layer)))
        else:
            self.now_asks(LabelsSaid(layer, given, self.naive))


def roles_in(layer) -> list:
    """What the shapes of a layer say."""
    features = layer.features
    nothing = [None] * len(layer.data)
    classes, signs = (list(features.get(name, nothing)) for name in ("class", "sign"))
    named = [class_name if isinstance(class_name, str) else None for class_name in classes]
    return [
        (class_name, sign != "negative") for class_name, sign in zip(named, signs, strict=True)
    ]

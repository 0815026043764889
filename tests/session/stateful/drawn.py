"""What is asked by the shapes and the labels of the user's layers."""

from __future__ import annotations

import numpy as np

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.search.regions import coverage_of_polygon, label_coverages

from .asked import Asked


def mean_over(coverage, embeddings):
    """The unit mean of the patches, each as often as it is covered."""
    total = coverage @ embeddings.reshape(-1, embeddings.shape[-1])
    return total / (np.linalg.norm(total) + 1e-8)


def grid_of(naive, image) -> PatchGrid:
    return PatchGrid(image.data.shape[-2:], naive.cell)


class ShapesSaid:
    """The shapes of a layer that asks."""

    def __init__(self, layer, given, roles) -> None:
        self.layer, self.given, self.roles = layer, given, list(roles)
        self.left_out: set[str] = set()
        self.owners = [given] * len(roles)
        self.leads = [()] * len(roles)
        self.places = [None] * len(roles)

    def added(self, role) -> None:
        self.roles.append(role)
        self.owners.append(self.given)
        self.leads.append(())
        self.places.append(None)

    def deleted(self, number) -> None:
        for kept in (self.roles, self.owners, self.leads, self.places):
            del kept[number]

    def moved(self, number) -> None:
        """What is moved lies where it is seen."""
        self.leads[number] = ()

    def worlds(self, number):
        corners = [self.layer.data_to_world(corner) for corner in self.layer.data[number]]
        return np.array([(*self.leads[number], *corner) for corner in corners])

    def settle(self, naive) -> None:
        missing = max(0, naive.viewer.dims.ndim - self.layer.ndim)
        for number in range(len(self.roles)):
            if len(self.leads[number]) != missing:
                self.leads[number] = tuple(naive.viewer.dims.point[:missing])
            worlds = self.worlds(number)
            found = naive.owner_of([worlds.mean(0), *worlds], self.owners[number])
            self.owners[number], self.places[number] = found

    def believe(self, session, by_id) -> None:
        sources = session.regions._followed[self.layer.unique_id]._sources
        self.owners = [by_id.get(source.image) for source in sources]

    def asked(self, naive) -> list[Asked]:
        found = []
        for number, (class_name, positive) in enumerate(self.roles):
            image = self.owners[number]
            if image is not None and (class_name or self.layer.name) not in self.left_out:
                on = image, naive.pixel(image, self.places[number])[0]
                vectors = self.vectors(naive, number, on)
                found.append(Asked(class_name or self.layer.name, positive, vectors, on))
        return found

    def vectors(self, naive, number, on) -> list:
        corners = [naive.data_of(on[0], world)[-2:][::-1] for world in self.worlds(number)]
        coverage = coverage_of_polygon(corners, grid_of(naive, on[0]))
        return [mean_over(coverage, naive.embeddings(*on))] if coverage.any() else []


class LabelsSaid:
    """The labels of a layer that asks, on the planes they were seen on when they were edited."""

    def __init__(self, layer, given, naive) -> None:
        self.layer, self.owner = layer, given
        self.seen: dict = {}
        self.planes: list = []
        self.edited(naive)

    def edited(self, naive) -> None:
        point = tuple(naive.viewer.dims.point)
        self.seen[point[:-2] if self.layer.ndim == 3 else ()] = point

    def settle(self, naive) -> None:
        self.planes = []
        for point in self.seen.values():
            now = naive.viewer.dims.point
            world = np.array([*now[: max(0, len(now) - len(point))], *point])
            values = self.values_at(world)
            if values is not None and (values > 0).any():
                owner, place = naive.owner_of(self.spots(world), self.owner)
                if owner is not None:
                    self.owner = owner
                    self.planes.append((owner, naive.pixel(owner, place)[0], values))

    def believe(self, session, by_id) -> None:
        image = session.regions._followed[self.layer.unique_id]._image
        self.owner = by_id.get(image)

    def values_at(self, world):
        """The labels of the plane at a point of the world; None outside."""
        data = np.asarray(self.layer.data)
        if data.ndim == 2:
            return data
        at = int(np.round(self.layer.world_to_data(world[-3:])[0]))
        return data[at] if 0 <= at < len(data) else None

    def spots(self, world) -> list:
        """Places all over the labels, the middle first."""
        ends = np.array(self.layer.data.shape[-2:]) - 1
        shares = [(0.5, 0.5), *(np.array(list(np.ndindex(5, 5))) / 4)]
        return [np.array([*world[:-2], *self.to_world(share * ends)]) for share in shares]

    def to_world(self, place):
        return self.layer.data_to_world((*[0] * (self.layer.ndim - 2), *place))[-2:]

    def asked(self, naive) -> list[Asked]:
        found = []
        for image, z, values in self.planes:
            under = self.under(image, values)
            coverages = label_coverages(under, grid_of(naive, image))
            for number, coverage in coverages.items():
                vector = mean_over(coverage, naive.embeddings(image, z))
                name = f"{self.layer.name} {number}"
                found.append(Asked(name, True, [vector], (image, z), named=False))
        return found

    def under(self, image, values):
        """The label under the centre of each pixel of an image, 0 outside."""
        pixels = np.indices(image.data.shape[-2:]).reshape(2, -1).T
        at = np.floor(pixels @ self.affine(image)[1:] + self.affine(image)[0] + 0.5).astype(int)
        seen = ((at >= 0) & (at < values.shape)).all(axis=1)
        found = np.zeros(len(at), int)
        found[seen] = values[tuple(at[seen].T)]
        return found.reshape(image.data.shape[-2:])

    def affine(self, image):
        """Where the first pixel of an image lies in the labels, and one step down and right."""
        nothing = [0] * (image.ndim - 2)
        worlds = [image.data_to_world((*nothing, *at))[-2:] for at in ((0, 0), (1, 0), (0, 1))]
        beside = [0] * (self.layer.ndim - 2)
        origin, *steps = (self.layer.world_to_data((*beside, *w))[-2:] for w in worlds)
        return np.array([origin, *np.subtract(steps, origin)])

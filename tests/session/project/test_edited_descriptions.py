"""Projects that somebody has edited: one sentence, and a session that goes on."""

from __future__ import annotations

import json
import random
import zipfile

import numpy as np
import pytest

from napari_dinov3_sim.core.errors import SimilarityError

from .conftest import open_file, save

pytestmark = pytest.mark.slow

FIRST, COUNT = 0, 12
"""Seeds of edits that are tried; more of them were when this was written."""


@pytest.fixture
def project(make_session, folder, tmp_path):
    """A project with something of everything."""
    session = make_session()
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    stack = open_file(session, folder / "stack.ome.tif")[0]
    session.viewer.add_image(np.eye(40, 50), name="made", rotate=10, colormap="magma")
    session.add_query(image, 40, 33, class_name="cell")
    session.add_query(stack, 20, 20, class_name="gap")
    session.start_box()
    session.drawn_regions.add([np.array([[0, 5, 5], [0, 5, 30], [0, 30, 30], [0, 30, 5]])])
    labels = np.zeros((70, 100), np.uint8)
    labels[30:60, 40:70] = 3
    session.regions.add(session.viewer.add_labels(labels, name="spots"), image)
    session.wait()
    session.gallery.show()
    session.wait()
    session.gallery.judge(session.gallery.matches[0], True)
    session.wait()
    session.results.labels()
    session.results.peaks()
    session.wait()
    return save(session, tmp_path / "p.dinov3sim.zip")


def places(value, path=()):
    """Yield the path of everything in JSON."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def edited(value, rng):
    """Return something else that may be of the same form."""
    match value:
        case bool():
            return not value
        case int() | float():
            choices = (0, -1, 1, 2, 3, 0.5, -value, value * 1e6, 2**40, 1e300, 1e-300, value + 1)
            return rng.choice(choices)
        case str():
            return rng.choice(("", "x", value * 2, "cell", "\n", "é", "class", "../" + value))
        case list():
            cut = rng.randrange(len(value) + 1)
            return rng.choice((value[:cut], value[cut:] + value[:cut], value + value, []))
        case None:
            return rng.choice((0, "x", [], [[1.0, 0.0], [0.0, 1.0]], 1.5))
    return rng.choice(([], None, {}))


def rewritten(project, path, rng):
    """Write a project with up to three edits of its description."""
    with zipfile.ZipFile(project) as file:
        members = {name: file.read(name) for name in file.namelist()}
    description = json.loads(members["project.json"])
    for _ in range(rng.choice((1, 1, 1, 3))):
        found = [place for place in places(description) if place and place[0] != "members"]
        *parents, last = rng.choice(found)
        at = description
        for key in parents:
            at = at[key]
        at[last] = edited(at[last], rng)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in (members | {"project.json": json.dumps(description)}).items():
            file.writestr(name, content)


def opened(session, path):
    """Open a project; return the sentence with which it was refused, if it was."""
    session.project.open(path)
    try:
        session.wait()
    except SimilarityError as error:
        return str(error)
    return ""


def test_edited_at_random(make_session, project, tmp_path):
    path, refused = tmp_path / "edited.dinov3sim.zip", 0
    for seed in range(FIRST, FIRST + COUNT):
        rewritten(project, path, random.Random(seed))
        session = make_session()
        sentence = opened(session, path)
        assert "\n" not in sentence, seed
        assert "report this" not in sentence, (seed, sentence)
        refused += bool(sentence)
        session.viewer.add_image(np.zeros((32, 32)), name="later")
        session.wait()
        assert "later" in [image.name for image in session.images], seed
        session.close()
    assert 0 < refused < COUNT

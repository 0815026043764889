"""How far a search of files is, by the lines of its process."""

from __future__ import annotations

from pathlib import Path

from napari_dinov3_sim.session.file_search.state import MOST_NAMED, FileSearchState


def after(*events, state=None):
    """Return the state after events, one a second."""
    state = state or FileSearchState("starting")
    for second, event in enumerate(events):
        state = state.after(event, float(second))
    return state


def look(done, files=4):
    return {"event": "look", "image": f"a/{done}.tif", "done": done, "files": files}


START = {"event": "start", "files": 4, "planes": 4}


def plane(done, planes=4):
    image = {"image": f"a/{done}.tif", "plane": f"{done}.tif"}
    return {"event": "plane", **image, "done": done, "planes": planes}


def done(number, *, stored=False):
    return {"event": "done", "image": f"a/{number}.tif", "stored": stored}


def failure(number):
    return {"event": "failed", "image": f"a/{number}.tif", "error": f"{number} is damaged."}


def end(*failed, files=4, **objects):
    about = {"failed": list(failed), "objects": objects, "folder": "out"}
    return {"event": "end", "files": files, **about}


def test_what_is_said_at_each_moment():
    assert FileSearchState().sentence == ""
    assert after().sentence == "The search begins."
    assert after(look(0)).sentence == "Looking at the images: 1 of 4."
    loading = after(look(3), {"event": "model", "model": "x"})
    assert (loading.sentence, loading.done) == ("Loading the model.", 0)
    assert after(START, plane(0)).sentence == "0 of 4 images done."
    part = {"event": "tile", "done": 1, "total": 2}
    state = after(START, plane(0), done(0), plane(1), failure(1), part)
    assert (state.done, state.part, state.current) == (1, 0.5, "1.tif")
    assert state.sentence == "1 of 4 images done, 1 failed, about 3 s left."
    assert after(START, end(gland=1, duct=3)).sentence == (
        "4 images are searched: 1 object of gland, 3 objects of duct."
    )


def test_the_time_left_is_that_of_what_must_be_computed():
    """What was stored takes no time, and says nothing of the rest."""
    events = [START, plane(0), done(0, stored=True), plane(1), done(1, stored=True), plane(2)]
    assert after(*events).seconds_left is None
    state = after(*events, done(2))
    assert (state.stored, state.seconds_left) == (2, 1.0)
    assert after(*events, done(2), plane(3), done(3)).sentence == "4 of 4 images done."


def test_planes_are_counted_where_there_are_more_than_images():
    start = {"event": "start", "files": 1, "planes": 4}
    assert after(start, plane(1)).sentence == "1 of 4 planes of 1 image done."


def test_files_that_failed_are_named_and_the_first_reason_told():
    state = after(START, failure(1), failure(1), failure(2), end("a/1.tif", "a/2.tif"))
    assert state.failed == 2
    assert state.sentence == "2 images are searched. 2 failed: 1.tif, 2.tif. 1 is damaged."


def test_of_many_that_failed_only_some_are_kept():
    many = [failure(number) for number in range(100)]
    ended = end(*(one["image"] for one in many), files=101)
    state = after({**START, "files": 101}, *many, ended)
    assert len(state.failures) == MOST_NAMED
    assert state.sentence.startswith("1 image is searched. 100 failed: 0.tif, ")
    assert "4.tif and 95 more. 0 is damaged." in state.sentence


def test_names_of_any_sort_are_said_as_a_terminal_may_show_them():
    event = {"event": "failed", "image": "caf\udce9\n.tif", "error": "caf\udce9\n.tif is empty."}
    state = after(START, event, end("caf\udce9\n.tif"))
    assert "1 failed: caf\\udce9\\n.tif. caf\\udce9\\n.tif is empty." in state.sentence


def test_what_is_not_known_changes_nothing():
    state = after(START, plane(2))
    assert after({"event": "later version"}, {}, state=state) == state


def test_a_download_says_how_far_it_is():
    event = {"event": "download", "what": "Downloading x", "done": 1, "total": 4}
    assert after(event).current == "Downloading x, 25%"
    assert FileSearchState("failed", message="No.", folder=Path("out")).sentence == "No."

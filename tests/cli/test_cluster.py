"""The same tasks on worker processes, one of which is killed; and every way a cluster can fail."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import dask
import numpy as np
import pytest
import torch

import napari_dinov3_sim as nds
from napari_dinov3_sim.cli import cluster as cluster_module
from napari_dinov3_sim.cli import tasks
from patience import PATIENCE, wait_until

distributed = pytest.importorskip("distributed")
IOLoop = pytest.importorskip("tornado.ioloop").IOLoop

pytestmark = pytest.mark.slow

FILES = "*.embeddings.safetensors"
BUILTIN = ("--model", "builtin", "--json")


@pytest.fixture(scope="module")
def loop():
    """An event loop that runs: one of its own distributed gives up after ten seconds."""
    running = IOLoop(make_current=False)
    thread = threading.Thread(target=running.start)
    thread.start()
    yield running
    running.add_callback(running.stop)
    thread.join()
    running.close()


@pytest.fixture(scope="module")
def cluster(loop):
    # As everywhere on Windows and macOS: a worker inherits nothing of this process.
    assert dask.config.get("distributed.worker.multiprocessing-method") == "spawn"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", loop=loop
    ) as running:
        yield running


@pytest.fixture
def embed(cli, folder, cluster):
    def run(*images, out="store", options=BUILTIN):
        scheduler = ("--scheduler", cluster.scheduler_address)
        return cli("embed", *images, "--out", out, *options, *scheduler)

    return run


def loads_of_the_model():
    return tasks._model.cache_info().misses


def forget_the_model():
    tasks._model.cache_clear()


def test_a_cluster_writes_what_this_process_would(embed, cli, folder, picture, cluster):
    np.save("stack.npy", picture(3, 33, 47, dtype=np.uint16))
    with distributed.Client(cluster, set_as_default=False) as client:
        client.run(forget_the_model)  # that of another test
    there = embed("gray.png", "st*.npy", "gone.png")
    assert there.code == 2
    assert "gone.png does not exist" in there.err
    assert "1 of 3 images failed" in there.err
    here = cli("embed", "gray.png", "stack.npy", "--out", "here", *BUILTIN).json["images"]
    entries = there.json["images"]
    assert [Path(entry["embeddings"]).name for entry in entries] == [
        Path(entry["embeddings"]).name for entry in here
    ]
    for one, other in zip(entries, here, strict=True):
        first, second = (nds.load_state(entry["embeddings"]) for entry in (one, other))
        torch.testing.assert_close(
            first.embeddings_normalized, second.embeddings_normalized, rtol=0, atol=1e-5
        )
    assert str(os.getpid()) not in {entry["process"].split(":")[1] for entry in entries}
    with distributed.Client(cluster, set_as_default=False) as client:
        assert max(client.run(loads_of_the_model).values()) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_a_killed_worker_loses_nothing(embed, folder, picture, cluster):
    np.save("stack.npy", picture(12, 260, 260, dtype=np.uint16))
    killed = []

    def kill():
        wait_until(lambda: len(list(Path("store").glob(FILES))) >= 3)
        killed.append(next(nanny.pid for nanny in cluster.workers.values() if nanny.pid))
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    result = embed("stack.npy")
    thread.join()
    assert (result.code, result.err) == (0, "")
    assert [entry["plane"] for entry in result.json["images"]] == [[n] for n in range(12)]
    assert len(list(Path("store").glob(FILES))) == 12
    again = embed("stack.npy").json["images"]
    assert all(entry["skipped"] for entry in again)


@pytest.fixture
def meanwhile(cli, folder, picture, loop):
    """Embed a stack on a worker of its own, and do something when its first plane is there."""
    np.save("stack.npy", picture(12, 260, 260, dtype=np.uint16))

    def run(do):
        def wait_and_do():
            wait_until(lambda: list(Path("store").glob(FILES)))
            do(alone)

        with distributed.LocalCluster(n_workers=1, dashboard_address=":0", loop=loop) as alone:
            thread = threading.Thread(target=wait_and_do)
            thread.start()
            address = alone.scheduler_address
            result = cli("embed", "stack.npy", "--out", "store", *BUILTIN, "--scheduler", address)
            thread.join()
        return address, result

    return run


def test_when_all_workers_are_gone_that_is_told_and_others_go_on(meanwhile, monkeypatch):
    notes, told = [], threading.Event()

    def note(sentence):
        notes.append(sentence)
        told.set()

    def replace(cluster):
        cluster.scale(0)
        assert told.wait(PATIENCE)
        cluster.scale(1)

    monkeypatch.setattr(cluster_module, "WATCH", 0.2)
    monkeypatch.setattr(cluster_module, "note", note)
    address, result = meanwhile(replace)
    assert notes == [f"note: all workers of {address} are gone; the run waits for others."]
    assert (result.code, len(result.json["images"])) == (0, 12)


def test_a_scheduler_that_goes_away_ends_the_run(meanwhile, cli, monkeypatch):
    monkeypatch.setattr(cluster_module, "WATCH", 600)  # its workers are gone before it is
    address, result = meanwhile(lambda cluster: cluster.close())
    assert f"The scheduler at {address} is gone, or gave the tasks up" in result.refusal
    assert "run the command again, which goes on from what is done." in result.refusal
    again = cli("embed", "stack.npy", "--out", "store", *BUILTIN).json["images"]
    assert any(entry["skipped"] for entry in again)


def test_a_full_disk_on_a_worker_ends_the_run(embed, folder, cluster):
    def break_the_store():
        from napari_dinov3_sim.core.errors import StoreError
        from napari_dinov3_sim.store import DiskStore

        def write(*_args):
            raise StoreError("The disk is full; free some space.")

        DiskStore.real, DiskStore.put = DiskStore.put, write

    def mend_the_store():
        from napari_dinov3_sim.store import DiskStore

        DiskStore.put = DiskStore.real

    with distributed.Client(cluster, set_as_default=False) as client:
        client.run(break_the_store)
        try:
            assert "The disk is full; free some space." in embed("gray.png", "rgb.png").refusal
        finally:
            client.run(mend_the_store)


def test_workers_that_cannot_write_the_folder(embed, monkeypatch):
    monkeypatch.setattr(cluster_module, "complaint", lambda *_: "Permission denied")
    line = embed("gray.png").refusal
    assert "cannot write" in line
    assert "(Permission denied); choose with --out a folder that all workers share" in line


def test_a_worker_sees_another_folder_or_none(tmp_path, monkeypatch):
    assert cluster_module.complaint(tmp_path, tmp_path / "gone") is not None
    (tmp_path / "mark").touch()
    assert cluster_module.complaint(tmp_path, tmp_path / "mark") is None

    def refuse(**_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cluster_module.tempfile, "TemporaryFile", refuse)
    assert cluster_module.complaint(tmp_path, tmp_path / "mark") == "Permission denied"


def test_a_model_that_the_workers_cannot_load(embed, folder):
    line = embed("gray.png", options=("--model", "dinov3-vits17", "--json")).refusal
    assert "perhaps dinov3-vits16 is meant" in line


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense"])
def test_a_scheduler_that_is_not_there(cli, folder, monkeypatch, address):
    monkeypatch.setattr(cluster_module, "TIMEOUT", 0.5)
    arguments = ("gray.png", "--out", "store", *BUILTIN, "--scheduler", address)
    assert (
        f"There is no scheduler at {address}; start one with" in cli("embed", *arguments).refusal
    )


def test_a_scheduler_without_workers(cli, folder, monkeypatch, loop):
    monkeypatch.setattr(cluster_module, "TIMEOUT", 0.5)
    with distributed.LocalCluster(n_workers=0, dashboard_address=":0", loop=loop) as empty:
        address = empty.scheduler_address
        line = cli("embed", "gray.png", "--out", "store", "--scheduler", address).refusal
    assert f"has no workers; start some with `dask worker {address}`" in line


def test_without_distributed(cli, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    arguments = ("gray.png", "--out", "store", *BUILTIN, "--scheduler", "tcp://a:1")
    assert 'pip install "napari-dinov3-sim[cluster]"' in cli("embed", *arguments).refusal

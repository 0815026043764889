"""The tasks of `embed` on the workers of a dask.distributed cluster."""

from __future__ import annotations

import logging
import tempfile
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from napari_dinov3_sim.cli.errors import OutputError, PlaneFailed, UsageError
from napari_dinov3_sim.cli.tasks import PlaneTask, run_on_worker
from napari_dinov3_sim.cli.terminal import note

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari_dinov3_sim.cli.tasks import EmbedSettings, PlaneDone

TIMEOUT = 15.0
"""Seconds that scheduler and workers have to answer."""

WATCH = 10.0
"""Seconds between two looks at whether there still are workers."""

INSTALL = '`pip install "napari-dinov3-sim[cluster]"`'


@contextmanager
def connected(address: str, settings: EmbedSettings) -> Iterator[Cluster]:
    """Connect to a scheduler whose workers can all write the folder.

    Parameters
    ----------
    address : str
        For example ``tcp://10.0.0.1:8786``.
    settings : EmbedSettings

    Raises
    ------
    UsageError
        dask.distributed is not installed, or there is no scheduler, or it has no workers.
    OutputError
        A worker cannot write the folder, or sees another one under its name.
    """
    client = _connect(address)
    try:
        _wait_for_workers(client, address)
        _check_folder(client, settings.folder)
        with _watched(client, address):
            yield Cluster(client, address, settings)
    finally:
        client.close()


def _connect(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError(
            f"--scheduler needs dask.distributed; install it with {INSTALL}, or leave "
            "--scheduler out to embed on this machine."
        ) from error
    # The client logs what it mends by itself, such as the results of a worker that died.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        return Client(address, timeout=TIMEOUT, set_as_default=False)
    except Exception as error:  # every sort of address fails in its own way
        raise UsageError(
            f"There is no scheduler at {address}; start one with `dask scheduler`, or check the "
            "address, which looks like tcp://10.0.0.1:8786."
        ) from error


def _wait_for_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=TIMEOUT)
    except TimeoutError as error:
        raise UsageError(
            f"The scheduler at {address} has no workers; start some with `dask worker {address}`."
        ) from error


def _check_folder(client: Any, folder: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".shared-") as mark:
        try:
            answers = client.run(complaint, folder, Path(mark.name), on_error="return")
        except OSError as error:
            raise UsageError(f"The workers do not answer ({error}); start them again.") from error
    for worker, answer in answers.items():
        if isinstance(answer, ImportError):
            raise UsageError(
                f"The worker {worker} lacks a package ({answer}); install {INSTALL} there too."
            )
        if answer is not None:
            raise OutputError(
                f"The worker {worker} cannot write {folder} ({answer}); choose with --out a "
                "folder that all workers share."
            )


def complaint(folder: Path, mark: Path) -> str | None:
    """Say, on a worker, why results cannot be written; None if they can."""
    if not mark.exists():
        return "it is not the folder of that name here"
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


@contextmanager
def _watched(client: Any, address: str) -> Iterator[None]:
    """Tell when all workers are gone: the scheduler then waits for others, without a word."""
    ended = Event()

    def watch() -> None:
        had_some = True
        while not ended.wait(WATCH):
            try:
                has_some = bool(client.nthreads())
            except Exception:  # the scheduler is gone, too; that ends the tasks
                return
            if had_some and not has_some:
                note(f"note: all workers of {address} are gone; the run waits for others.")
            had_some = has_some

    Thread(target=watch, daemon=True, name="watch-workers").start()
    try:
        yield
    finally:
        ended.set()


@dataclass(frozen=True, eq=False)
class Cluster:
    """A connection to a scheduler; see `connected`."""

    client: Any
    address: str
    settings: EmbedSettings

    def run(self, tasks: Iterable[PlaneTask | PlaneFailed]) -> Iterator[PlaneDone | PlaneFailed]:
        """Return the results in the order in which they come.

        A task whose worker dies is given to another one by the scheduler; it goes on from the
        tiles that are in the folder.
        """
        from distributed import as_completed

        of: dict[Any, PlaneTask] = {}
        try:
            for task in tasks:
                if isinstance(task, PlaneFailed):
                    yield task
                    continue
                # The settings go with each task: scattered, they would go with the last worker.
                args, key = (run_on_worker, task, self.settings), f"embed-{uuid4()}"
                of[self.client.submit(*args, key=key, pure=False)] = task
            for future in as_completed(list(of), loop=self.client.loop):
                yield self._result(future, of[future])
                future.release()
        finally:
            self.client.cancel(list(of), force=True)

    def _result(self, future: Any, task: PlaneTask) -> PlaneDone | PlaneFailed:
        try:
            result: PlaneDone | PlaneFailed = future.result()
        except CancelledError as error:
            return PlaneFailed(
                task.path,
                f"The scheduler at {self.address} is gone, or gave the tasks up "
                f"({type(error).__name__}); start it again, and run the command again, which goes "
                "on from what is done.",
                ends_all=True,
            )
        except Exception as error:  # what the task itself may raise comes back as a value
            return PlaneFailed(
                task.path,
                f"{task.path} was given up by the cluster ({type(error).__name__}); look at the "
                "logs of the workers, which may need more memory.",
                task.megapixels,
            )
        return result

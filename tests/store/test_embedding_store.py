"""What is kept in memory, and what goes first."""

from __future__ import annotations

import threading

import numpy as np

from napari_dinov3_sim.store import MemoryStore

from .states import make_state

STATE = make_state()
SIZE = STATE.nbytes


def test_what_is_put_is_got():
    store = MemoryStore()
    assert store.get("a") is None
    store.put("a", STATE)
    assert store.get("a") is STATE
    assert (len(store), store.nbytes) == (1, SIZE)


def test_the_least_recently_used_goes_first():
    store = MemoryStore(2 * SIZE)
    store.put("a", STATE)
    store.put("b", STATE)
    store.get("a")
    store.put("c", STATE)
    assert [store.get(name) is not None for name in "abc"] == [True, False, True]


def test_the_budget_holds_and_may_shrink():
    store = MemoryStore(3 * SIZE)
    for name in "abcde":
        store.put(name, STATE)
    assert store.nbytes == 3 * SIZE
    store.budget = SIZE
    assert (len(store), store.nbytes, store.budget) == (1, SIZE, SIZE)
    assert store.get("e") is STATE


def test_putting_again_replaces_and_counts_once():
    store = MemoryStore(3 * SIZE)
    larger = make_state(80, 50)
    store.put("a", STATE)
    store.put("a", larger)
    assert (len(store), store.nbytes) == (1, larger.nbytes)


def test_what_is_larger_than_the_budget_is_not_kept():
    store = MemoryStore(SIZE - 1)
    store.put("a", STATE)
    assert (len(store), store.nbytes) == (0, 0)


def test_threads_leave_the_sum_right():
    store, names = MemoryStore(10 * SIZE), [f"{number}" for number in range(25)]
    failures = []

    def work(seed):
        try:
            for name in np.random.default_rng(seed).choice(names, 400):
                if store.get(name) is None:
                    store.put(name, STATE)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.nbytes == SIZE * len(store) == 10 * SIZE

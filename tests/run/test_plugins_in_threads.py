"""The threads of an io_bound stage share the plugins, which are loaded when they are asked for."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from stagepipe.plugins import Plugins

THREADS = 8
ROUNDS = 10


def test_threads_that_ask_at_once_find_an_installed_step() -> None:
    """None of them looks while another has the plugin half loaded."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in range(ROUNDS):
                plugins, all_there = Plugins(), Barrier(THREADS)

                def found(_: int, plugins: Plugins = plugins, there: Barrier = all_there) -> str:
                    there.wait()
                    return plugins.step("pseudonymize").where.name

                assert list(pool.map(found, range(THREADS))) == ["pseudonymize"] * THREADS
    finally:
        sys.setswitchinterval(before)

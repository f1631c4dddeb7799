"""A loop on virtual time keeps what asyncio promises, and takes no time for it."""

import asyncio
import math
import threading

import pytest

from scaler.simulation.virtual_loop import VirtualLoop


@pytest.fixture
def loop():
    made = VirtualLoop(start=100.0)
    yield made
    made.end()


async def noted(seen, name, seconds):
    while True:
        await asyncio.sleep(seconds)
        seen.append((name, asyncio.get_running_loop().time()))


def test_what_waits_is_woken_in_order_of_time(loop):
    seen = []
    for name, seconds in (("slow", 7.0), ("fast", 3.0)):
        loop.create_task(noted(seen, name, seconds))
    loop.run_up_to(110.0)
    assert seen == [("fast", 103.0), ("fast", 106.0), ("slow", 107.0), ("fast", 109.0)]
    assert (loop.time(), loop.due) == (110.0, 112.0)


def test_what_is_due_at_the_end_is_carried_out(loop):
    seen = []
    loop.create_task(noted(seen, "it", 5.0))
    loop.run_up_to(105.0)
    assert seen == [("it", 105.0)]


def test_where_nothing_is_to_come_it_is_never_due(loop):
    loop.run_up_to(1e6)
    assert (loop.time(), loop.due) == (1e6, math.inf)


def test_time_does_not_go_back(loop):
    with pytest.raises(ValueError, match="already"):
        loop.run_up_to(99.0)


def test_another_thread_can_call_in(loop):
    seen = []
    calling = threading.Thread(target=loop.call_soon_threadsafe, args=(seen.append, 1))
    calling.start()
    calling.join()
    loop.run_up_to(100.0)
    assert seen == [1]


def test_an_end_cancels_what_still_waits():
    loop, ended = VirtualLoop(), []

    async def waits():
        try:
            await asyncio.sleep(1e9)
        finally:
            ended.append(True)

    loop.create_task(waits())
    loop.run_up_to(1.0)
    loop.end()
    assert ended == [True]

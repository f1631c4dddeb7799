"""The stream of an external-push trigger: the state at once, every change, a clean end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import grpc
import pytest

from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.control.snapshot import Snapshot
from tests.scaler.adapters.http.snapshots import AT, Clock, snapshot
from tests.scaler.adapters.keda.caller import Keda, asking, served
from tests.scaler.adapters.keda.views import SHOP, demanding
from tests.waiting import eventually

SLEEPER = {"activationQps": "1"}
AWAKE, IDLE = demanding(500.0), demanding(0.5)
STREAMS = 100


class Counted(SnapshotHolder):
    """A holder that records its listeners."""

    def __init__(self, *views, **options) -> None:
        super().__init__(**options)
        self._here: set[Callable[[], None]] = set()
        if views:
            self.publish(snapshot(*views))

    def subscribe(self, listener):
        super().subscribe(listener)
        self._here.add(listener)

    def unsubscribe(self, listener):
        super().unsubscribe(listener)
        self._here.discard(listener)

    @property
    def listening(self) -> int:
        return len(self._here)


def test_the_state_is_sent_at_once_and_at_each_change():
    holder = Counted(IDLE)
    with asking(holder, SLEEPER) as keda:
        stream = keda.stream()
        results = [next(stream).result]
        for views in (AWAKE, IDLE, AWAKE):
            holder.publish(snapshot(views))
            results.append(next(stream).result)
        stream.cancel()
    assert results == [False, True, False, True]


def test_an_unchanged_state_is_not_sent_again():
    holder = Counted(AWAKE)
    with asking(holder, SLEEPER) as keda:
        stream = keda.stream()
        assert next(stream).result
        for _ in range(5):
            holder.publish(snapshot(AWAKE))
            assert keda.is_active()  # the event loop of the server has run since
        holder.publish(snapshot(IDLE))
        assert not next(stream).result
        stream.cancel()


def test_before_the_first_tick_a_stream_waits():
    holder = Counted()
    with asking(holder) as keda:
        stream = keda.stream()
        eventually(lambda: holder.listening == 1)
        holder.publish(snapshot(SHOP))
        assert next(stream).result
        stream.cancel()


def test_a_stale_snapshot_makes_a_service_active():
    """Without a tick, for the stream checks by itself."""
    clock = Clock()
    holder = Counted(IDLE, clock=clock)
    with asking(holder, SLEEPER) as keda:
        stream = keda.stream()
        assert not next(stream).result
        clock.now += 60.0
        assert next(stream).result
        stream.cancel()


def test_a_deleted_policy_ends_the_stream_with_an_error_and_not_as_idle():
    holder = Counted(AWAKE)
    with asking(holder) as keda:
        stream = keda.stream()
        assert next(stream).result
        holder.publish(Snapshot(2, AT, {}))
        with pytest.raises(grpc.RpcError) as error:
            next(stream)
    assert error.value.code() is grpc.StatusCode.NOT_FOUND
    assert holder.listening == 0


def test_a_client_that_cancels_leaves_nothing_behind():
    holder = Counted(AWAKE)
    with asking(holder) as keda:
        stream = keda.stream()
        assert next(stream).result
        assert holder.listening == 1
        stream.cancel()
        eventually(lambda: holder.listening == 0)


def test_a_client_whose_connection_is_cut_leaves_nothing_behind():
    holder = Counted(AWAKE)
    with served(holder) as place:
        with grpc.insecure_channel(place) as channel:
            assert next(Keda(channel).stream()).result
            assert holder.listening == 1
        eventually(lambda: holder.listening == 0)


def test_a_server_that_stops_ends_its_streams():
    holder, stream = Counted(AWAKE), None
    with contextlib.ExitStack() as stack:
        with served(holder) as place:
            channel = stack.enter_context(grpc.insecure_channel(place))
            stream = Keda(channel).stream()
            assert next(stream).result
        # It ends in order, without an error and without a change of state.
        with pytest.raises(StopIteration):
            next(stream)
    assert holder.listening == 0


def test_many_streams_get_changes_and_are_cleaned_up():
    holder = Counted(IDLE)
    with asking(holder, SLEEPER) as keda:
        streams = [keda.stream() for _ in range(STREAMS)]
        assert [next(stream).result for stream in streams] == [False] * STREAMS
        assert holder.listening == STREAMS
        holder.publish(snapshot(AWAKE))
        assert [next(stream).result for stream in streams] == [True] * STREAMS
        # Other calls are served meanwhile.
        assert keda.poll().active
        for stream in streams:
            stream.cancel()
        eventually(lambda: holder.listening == 0)

"""A long range of many series: planned in chunks, resumed, and put together by stamp."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.adapters.prometheus.answers import PrometheusAnswer, QueryGrid, RawRange
from forecaster.adapters.prometheus.cache import ChunkCache
from forecaster.adapters.prometheus.fetch import (
    Fetched,
    Progress,
    RangeQuery,
    cache_for,
    chunks,
    fetch,
)
from forecaster.errors import ConfigError, PrometheusError

START = datetime(2026, 3, 28, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LATER = START + timedelta(days=30)
QUERY = RangeQuery(
    "demand", START, START + 50 * MINUTE, MINUTE, ("namespace", "service"), chunk_points=20
)
SHOP = {"namespace": "prod", "service": "shop"}
SEARCH = {"namespace": "prod", "service": "search"}


def always(stamp: int) -> float:
    return stamp / 60 % 1000


def between(first: int, last: int) -> Callable[[int], float]:
    """A series that exists only from minute ``first`` to before minute ``last`` of the range."""
    origin = int(START.timestamp())
    return lambda stamp: always(stamp) if first <= (stamp - origin) // 60 < last else np.nan


@dataclass
class MemorySource:
    """Answers from functions of the stamp; fails at the ``fails_at``-th request."""

    series: list[tuple[Mapping[str, str], Callable[[int], float]]]
    fails_at: int | None = None
    warnings: tuple[str, ...] = ()
    partial: Callable[[int], bool] = lambda asked: False  # of the so-manieth question
    asked: list[QueryGrid] = field(default_factory=list)

    def query_range(self, promql: str, grid: QueryGrid) -> PrometheusAnswer:
        self.asked.append(grid)
        if len(self.asked) - 1 == self.fails_at:
            raise PrometheusError("away")
        stamps = range(grid.first, grid.last + 1, grid.step)
        found = [
            RawRange(labels, np.array([value(stamp) for stamp in stamps], dtype=np.float64))
            for labels, value in self.series
        ]
        found = [one for one in found if not np.isnan(one.values).all()]
        if not self.partial(len(self.asked)):
            return PrometheusAnswer(tuple(found), self.warnings)
        halves = tuple(RawRange(one.labels, one.values / 2) for one in found)
        return PrometheusAnswer(halves, (*self.warnings, "store-2 is away"), ("store-2 is away",))


def two_services() -> MemorySource:
    return MemorySource([(SHOP, always), (SEARCH, between(25, 33))])


def same(one: Fetched, other: Fetched) -> bool:
    pairs = zip(one.series, other.series, strict=True)
    return all(
        a.item_id == b.item_id
        and np.array_equal(a.stamps, b.stamps)
        and np.array_equal(a.values, b.values, equal_nan=True)
        for a, b in pairs
    )


@given(
    st.integers(0, 10**6),
    st.integers(1, 3600),
    st.integers(1, 300),
    st.integers(1, 50),
)
def test_chunks_cover_every_stamp_once_and_none_is_too_long(
    first: int, step: int, count: int, points: int
) -> None:
    grid = QueryGrid(first, step, count)
    plan = list(chunks(grid, points))
    stamps = [s for c in plan for s in range(c.first, c.last + 1, step)]
    assert stamps == list(range(grid.first, grid.last + 1, step))
    assert max(c.count for c in plan) <= points


@given(st.integers(0, 500), st.integers(1, 50))
def test_a_moved_start_keeps_the_later_chunks(moved: int, points: int) -> None:
    whole = set(chunks(QueryGrid(0, 60, 1000), points))
    later = list(chunks(QueryGrid(60 * moved, 60, 1000 - moved), points))
    assert set(later[1:]) <= whole


@given(st.integers(1, 60))
def test_the_result_does_not_depend_on_the_length_of_a_chunk(points: int) -> None:
    query = replace(QUERY, chunk_points=points)
    whole = fetch(two_services(), replace(QUERY, chunk_points=11_000), now=LATER)
    assert same(fetch(two_services(), query, now=LATER), whole)


def test_many_series_become_items_named_by_their_labels() -> None:
    fetched = fetch(two_services(), QUERY, now=LATER)
    assert [one.item_id for one in fetched.series] == ["prod/search", "prod/shop"]


def test_a_series_that_appears_and_vanishes_is_missing_elsewhere() -> None:
    search = fetch(two_services(), QUERY, now=LATER).series[0]
    assert np.flatnonzero(~np.isnan(search.values)).tolist() == list(range(25, 33))
    assert len(search.values) == 50


def test_the_end_is_not_included() -> None:
    stamps = fetch(two_services(), QUERY, now=LATER).series[0].stamps
    assert (stamps[0], stamps[-1]) == (START.timestamp(), (QUERY.end - MINUTE).timestamp())


def test_a_clock_change_moves_nothing_since_all_is_utc() -> None:
    # Europe sets its clocks forward at 01:00 UTC on this night.
    start = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    query = replace(QUERY, start=start, end=start + timedelta(hours=2))
    shop = fetch(two_services(), query, now=LATER).series[0]
    assert np.diff(shop.stamps).tolist() == [60] * 119
    assert not np.isnan(shop.values).any()


@pytest.mark.parametrize(
    ("labels", "item_labels", "item_id"),
    [
        pytest.param(SHOP, ("service", "namespace"), "shop/prod", id="in the order given"),
        pytest.param(SHOP, (), "prod/shop", id="by default all labels by name"),
        pytest.param({"__name__": "demand", **SHOP}, (), "prod/shop", id="but not the metric"),
        pytest.param({"__name__": "demand"}, (), "demand", id="the metric where there is no label"),
        pytest.param({}, (), "total", id="a sum over everything"),
    ],
)
def test_the_name_of_an_item(
    labels: dict[str, str], item_labels: tuple[str, ...], item_id: str
) -> None:
    query = replace(QUERY, item_labels=item_labels)
    (one,) = fetch(MemorySource([(labels, always)]), query, now=LATER).series
    assert one.item_id == item_id


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(always, id="at the same time"),
        pytest.param(between(45, 50), id="in another chunk"),
    ],
)
def test_two_series_for_one_item_are_refused_with_query_labels_and_fix(
    second: Callable[[int], float],
) -> None:
    pods = [({**SHOP, "pod": "a"}, between(0, 10)), ({**SHOP, "pod": "b"}, second)]
    with pytest.raises(PrometheusError) as caught:
        fetch(MemorySource(list(pods)), QUERY, now=LATER)
    assert str(caught.value) == (
        "the query 'demand' returns two series for the item 'prod/shop': "
        '{namespace="prod", pod="a", service="shop"} and {namespace="prod", pod="b", '
        'service="shop"}; write e.g. sum by (namespace, service) (demand), '
        "or name more labels with --item-label"
    )


def test_a_label_that_a_series_lacks_is_named() -> None:
    source = MemorySource([({"service": "shop"}, always)])
    with pytest.raises(PrometheusError, match="without the label namespace"):
        fetch(source, QUERY, now=LATER)


def test_an_empty_result_says_what_to_check() -> None:
    with pytest.raises(
        PrometheusError, match=r"'demand' matches no series from .*check the metric"
    ):
        fetch(MemorySource([]), QUERY, now=LATER)


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_an_interrupted_fetch_resumes_where_it_was_with_the_same_result(
    fails_at: int, tmp_path: Path
) -> None:
    whole = fetch(two_services(), QUERY, now=LATER)
    cache = cache_for(tmp_path, ["http://p"], QUERY)
    broken, again = two_services(), two_services()
    broken.fails_at = fails_at
    with pytest.raises(PrometheusError):
        fetch(broken, QUERY, now=LATER, cache=cache)
    resumed = fetch(again, QUERY, now=LATER, cache=cache)
    assert same(resumed, whole)
    assert again.asked == broken.asked[fails_at:] + whole_plan()[fails_at + 1 :]
    assert resumed.progress.reused == fails_at


def whole_plan() -> list[QueryGrid]:
    return list(chunks(QUERY.grid, QUERY.chunk_points))


def test_a_chunk_that_may_still_change_is_fetched_every_time(tmp_path: Path) -> None:
    cache = cache_for(tmp_path, ["http://p"], QUERY)
    for _ in range(2):
        source = two_services()
        fetch(source, QUERY, now=QUERY.end + timedelta(minutes=55), cache=cache)
    assert source.asked == whole_plan()[-1:]


def test_a_partial_answer_is_missing_and_not_kept(tmp_path: Path) -> None:
    cache = cache_for(tmp_path, ["http://p"], QUERY)
    whole = fetch(two_services(), QUERY, now=LATER)
    source = two_services()
    source.partial = lambda asked: asked <= 2  # the first chunk, twice
    fetched = fetch(source, QUERY, now=LATER, cache=cache)
    assert fetched.warnings == ("store-2 is away",)
    assert fetched.left_out == (whole_plan()[0],)
    for one, other in zip(fetched.series, whole.series, strict=True):
        assert np.isnan(one.values[:20]).all()
        np.testing.assert_array_equal(one.values[20:], other.values[20:])
    again = fetch(two_services(), QUERY, now=LATER, cache=cache)
    assert again.progress.reused == len(whole_plan()) - 1
    assert same(again, whole)


def test_a_partial_answer_that_is_whole_the_second_time_is_whole(tmp_path: Path) -> None:
    source = two_services()
    source.partial = lambda asked: asked == 1
    fetched = fetch(source, QUERY, now=LATER)
    assert same(fetched, fetch(two_services(), QUERY, now=LATER))
    assert fetched.left_out == ()


def test_where_every_answer_is_partial_nothing_is_taken_from_them() -> None:
    source = two_services()
    source.partial = lambda asked: True
    with pytest.raises(PrometheusError, match=r"every answer .* is partial \(store-2 is away\)"):
        fetch(source, QUERY, now=LATER)


def test_a_remark_on_the_query_blocks_nothing(tmp_path: Path) -> None:
    cache = cache_for(tmp_path, ["http://p"], QUERY)
    source = two_services()
    source.warnings = ("PromQL info: metric might not be a counter",)
    assert fetch(source, QUERY, now=LATER, cache=cache).warnings == source.warnings
    reused = fetch(source, QUERY, now=LATER, cache=cache).progress.reused
    assert reused == len(whole_plan())


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: content[: len(content) // 2], id="half of it"),
        pytest.param(lambda content: b"PAR1" + b"\0" * 40 + b"PAR1", id="nonsense"),
    ],
)
def test_a_damaged_chunk_is_fetched_again(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    cache = cache_for(tmp_path, ["http://p"], QUERY)
    whole = fetch(two_services(), QUERY, now=LATER, cache=cache)
    for path in tmp_path.glob("*/*.parquet"):
        path.write_bytes(damage(path.read_bytes()))
    assert same(fetch(two_services(), QUERY, now=LATER, cache=cache), whole)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param((["http://q"], QUERY), id="another server or tenant"),
        pytest.param((["http://p"], replace(QUERY, promql="other")), id="another query"),
        pytest.param((["http://p"], replace(QUERY, step=2 * MINUTE)), id="another step"),
        pytest.param(
            (["http://p"], replace(QUERY, start=START + timedelta(seconds=7))), id="another grid"
        ),
    ],
)
def test_the_cache_never_mixes_different_queries(
    other: tuple[list[str], RangeQuery], tmp_path: Path
) -> None:
    assert cache_for(tmp_path, ["http://p"], QUERY).folder != cache_for(tmp_path, *other).folder


def test_other_item_labels_reuse_the_chunks_and_name_the_items_anew(tmp_path: Path) -> None:
    cache = cache_for(tmp_path, ["http://p"], QUERY)
    fetch(two_services(), QUERY, now=LATER, cache=cache)
    renamed = replace(QUERY, item_labels=("service",))
    fetched = fetch(two_services(), renamed, now=LATER, cache=cache)
    assert [one.item_id for one in fetched.series] == ["search", "shop"]
    assert fetched.progress.reused == 3


def test_old_chunks_are_deleted_and_fetched_again(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path, ["key"])
    fetch(two_services(), QUERY, now=LATER, cache=cache)
    written = max(path.stat().st_mtime for path in tmp_path.glob("*/*.parquet"))
    cache.prune(datetime.fromtimestamp(written, UTC) + timedelta(days=6))
    assert len(list(tmp_path.glob("*/*.parquet"))) == 3
    cache.prune(datetime.fromtimestamp(written, UTC) + timedelta(days=8))
    assert list(tmp_path.glob("*/*.parquet")) == []


def test_a_cache_that_cannot_be_written_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = ChunkCache(tmp_path / "file", ["key"])
    with pytest.raises(ConfigError, match=r"cannot be written.*--cache-dir"):
        fetch(two_services(), QUERY, now=LATER, cache=cache)


def test_progress_counts_every_chunk() -> None:
    seen: list[Progress] = []
    fetch(two_services(), QUERY, now=LATER, on_progress=seen.append)
    assert seen == [Progress(done, 0, 3) for done in range(4)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"end": START}, "--end must be at least a step after", id="empty range"),
        pytest.param({"step": timedelta(seconds=1.5)}, "whole seconds", id="half a second"),
        pytest.param({"chunk_points": 11_001}, "1 to 11000", id="more than Prometheus answers"),
        pytest.param({"chunk_points": 0}, "1 to 11000", id="no points"),
    ],
)
def test_a_range_that_cannot_be_asked_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(QUERY, **change)  # type: ignore[arg-type]

"""Properties of the data-quality pass for any samples."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forecaster.data.quality import Action, QualityRules, RawSeries, examine
from tests.forecaster.data.quality.samples import MINUTE, NAN, SPIKE, START

samples = st.one_of(
    st.floats(0, 1e4),
    st.sampled_from([0.0, 50.0, -1.0, NAN, np.inf, SPIKE]),
)
rows = st.dictionaries(st.integers(0, 90), samples, min_size=4, max_size=80)
LENIENT = QualityRules(min_samples=1, flat_samples=5, flat_time=5 * MINUTE)


def series_of(rows: dict[int, float]) -> RawSeries:
    return RawSeries("a", START + 60 * np.array(list(rows)), np.array(list(rows.values())))


def accepted(item: RawSeries):
    series, _ = examine([item], step=MINUTE, rules=LENIENT)
    return series[0] if series else None


@given(rows)
def test_a_second_pass_finds_nothing_to_repair(rows):
    if (once := accepted(series_of(rows))) is None:
        return
    (twice,), findings = examine([RawSeries.of(once)], step=MINUTE, rules=LENIENT)
    assert once.start == twice.start
    np.testing.assert_array_equal(once.values, twice.values)
    assert not [found for found in findings if found.action is not Action.NOTED]


@given(rows)
def test_the_pass_makes_up_no_value(rows):
    if (series := accepted(series_of(rows))) is None:
        return
    for stamp, value in zip(series.stamps, series.values, strict=True):
        assert np.isnan(value) or rows[(stamp - START) // 60] == value


@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows, random):
    shuffled = list(rows.items())
    random.shuffle(shuffled)
    one, other = accepted(series_of(rows)), accepted(series_of(dict(shuffled)))
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.start == other.start
        np.testing.assert_array_equal(one.values, other.values)

"""The division of a share among the buckets of an Envoy that counts itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.adapters.envoy.quotas import Quota, QuotaPart, quota, rates

PAY, STRESS = QuotaPart(40.0, 100.0), QuotaPart(0.0, 15.0)


@pytest.mark.parametrize(
    ("parts", "buckets", "wants", "given_qps"),
    [
        pytest.param({}, [""], {}, [100.0], id="the only bucket has the share"),
        pytest.param({}, ["", ""], {"": 90.0}, [50.0, 50.0], id="two of one kind have half each"),
        pytest.param(
            {"pay": PAY}, ["pay", ""], {"pay": 90.0, "": 20.0}, [80.0, 20.0],
            id="own rate, then the spare by demand",
        ),
        pytest.param(
            {"pay": PAY}, ["pay"], {"pay": 10.0}, [100.0],
            id="unused spare is divided evenly",
        ),
        pytest.param(
            {"pay": PAY}, [""], {"": 500.0}, [60.0], id="a class keeps its own rate"
        ),
        pytest.param(
            {"stress": STRESS}, ["stress", ""], {"stress": 500.0, "": 10.0}, [15.0, 85.0],
            id="a ceiling holds",
        ),
        pytest.param(
            {"pay": PAY}, ["pay", "unheard-of"], {"pay": 90.0}, [94.5, 5.5],
            id="a class of unknown demand gets 1, and half of the remaining 9",
        ),
    ],
)  # fmt: skip
def test_rates(parts, buckets, wants, given_qps):
    spare = 100.0 - sum(part.qps for part in parts.values())

    assert rates(100.0, spare, parts, buckets, wants) == pytest.approx(given_qps)


@given(st.data())
def test_buckets_never_get_more_than_the_share_nor_a_class_more_than_its_ceiling(data):
    qps = st.floats(0, 1e6)
    share = data.draw(qps)
    names = ["pay", "browse", "stress", ""]
    own = [share * data.draw(st.floats(0, 0.33)) for _ in names[:3]]
    parts = {
        name: QuotaPart(part, max(part, data.draw(qps)))
        for name, part in zip(names, own, strict=False)
    }
    buckets = data.draw(st.lists(st.sampled_from([*names, "unheard-of"]), min_size=1, max_size=9))
    wants = data.draw(st.dictionaries(st.sampled_from(names), qps))

    bucket_rates = rates(share, max(share - sum(own), 0.0), parts, buckets, wants)

    assert sum(bucket_rates) <= share * (1 + 1e-9)
    assert min(bucket_rates) >= 0
    for name, part in parts.items():
        of_class = sum(q for q, bucket in zip(bucket_rates, buckets, strict=True) if bucket == name)
        assert of_class <= part.ceiling_qps * (1 + 1e-9)


@pytest.mark.parametrize(
    ("qps", "expected"),
    [
        pytest.param(0.0, Quota(0, 1, 0), id="nothing"),
        pytest.param(0.05, Quota(0, 1, 0), id="less than a token in ten seconds is no token"),
        pytest.param(12.46, Quota(124, 10, 2), id="a tenth of a request is not lost"),
        pytest.param(99.99, Quota(999, 10, 10), id="just below the rates with a short interval"),
        pytest.param(100.9, Quota(100, 1, 10), id="whole requests a second"),
    ],
)
def test_a_quota_is_no_more_than_the_rate(qps, expected):
    assert quota(qps, share_qps=100.0, burst=10) == expected
    assert expected.qps <= qps

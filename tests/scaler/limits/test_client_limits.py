"""A few abusive clients are cut before any normal one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.limits.client_limits import ClientPolicy, LevelReason, client_level

rates = st.lists(st.floats(0, 1e4).map(lambda qps: round(qps, 3)), max_size=60)


def admitted_rates(level, client_rates):
    """Return the QPS of each client that passes, as gateways apply the level."""
    offered = np.asarray(client_rates, dtype=np.float64)
    left = np.where(offered > level.abusive_above_qps, level.abusive_qps, offered)
    return np.minimum(left, level.qps)


def normal_clients(count=2000, sigma=0.5, seed=11):
    return np.random.default_rng(seed).lognormal(sigma=sigma, size=count)


@pytest.mark.parametrize(
    ("limit", "clients", "reason", "passing"),
    [
        pytest.param(100, [1] * 30, None, [1] * 30, id="who fits is not cut"),
        pytest.param(
            1000, [1] * 30 + [90], LevelReason.ABUSE, [1] * 31, id="one abuser is left as others"
        ),
        pytest.param(
            15, [1] * 30, LevelReason.LIMIT, [0.5] * 30, id="equals are cut equally to the limit"
        ),
        pytest.param(
            60, [1] * 30 + [1.8] * 20, LevelReason.LIMIT, [1] * 30 + [1.5] * 20, id="heaviest first"
        ),  # 60 - 30 x 1 left for 20
        pytest.param(
            15.5, [1] * 30 + [90], LevelReason.LIMIT, [0.5] * 31, id="an abuser counts as a normal"
        ),
        pytest.param(99, [1, 90], None, [1, 90], id="of two nobody says who is normal"),
        pytest.param(9, [], None, [], id="no clients"),
        pytest.param(9, [0] * 40, None, [0] * 40, id="idle clients"),
    ],
)
def test_the_level_cuts_abuse_first_then_the_heaviest(limit, clients, reason, passing):
    level = client_level(limit, clients)
    assert level.reason is reason
    assert admitted_rates(level, clients).tolist() == passing


@pytest.mark.parametrize("sigma", [0.0, 0.25, 0.5, 1.0])
def test_normal_variation_is_not_cut(sigma):
    clients = normal_clients(sigma=sigma)
    passing = admitted_rates(client_level(1e6, clients), clients)
    assert passing.sum() >= 0.99 * clients.sum()


@pytest.mark.parametrize("part", [0.001, 0.05, 0.15])
def test_abusive_clients_are_found_up_to_a_share_of_fifteen_per_cent(part):
    """Twenty times the median, hidden in a crowd of normal clients."""
    clients = normal_clients()
    abusers = np.full(int(part * len(clients)), 20.0)
    everybody = np.concatenate([clients, abusers])
    level = client_level(1e6, everybody)
    passing = admitted_rates(level, everybody)
    assert passing[: len(clients)].sum() >= 0.99 * clients.sum()
    assert passing[len(clients) :].sum() <= 0.1 * abusers.sum()  # left with about 1 of 20


def test_a_promotion_makes_no_client_abusive():
    """All clients three times as active: still as much alike."""
    before = client_level(1e6, normal_clients())
    after = client_level(1e6, 3 * normal_clients())
    assert (before.reason, after.reason) == (None, None)


def test_chance_in_counting_few_requests_makes_no_client_abusive():
    counted = np.random.default_rng(5).poisson(1.0, size=5000) / 10  # one in 10 s each
    level = client_level(1e6, counted, ClientPolicy(window_s=10.0))
    assert level.reason is None


@given(st.floats(0, 1e4), rates)
def test_what_passes_fits_the_limit_unless_no_level_is_needed(limit, clients):
    passing = admitted_rates(client_level(limit, clients), clients)
    assert passing.sum() <= limit * (1 + 1e-9) + 1e-9
    assert (passing <= np.array(clients)).all()


@given(st.floats(0, 1e4), rates)
def test_no_normal_client_is_cut_below_the_rate_left_to_an_abusive_one(limit, clients):
    level = client_level(limit, clients)
    offered = np.array(clients)
    passing = admitted_rates(level, offered)
    normal = offered <= level.abusive_above_qps
    cut = normal & (passing < offered)
    if cut.any():
        assert (passing[~normal] <= passing[cut].min()).all()


@given(rates.filter(len), st.floats(0.5, 20))
def test_where_all_clients_fit_none_near_the_median_is_cut(clients, ratio):
    offered = np.array(clients)
    active = offered[offered > 0]
    level = client_level(offered.sum() * 1.01, offered)
    if len(active):
        near = offered <= 3 * np.median(active)
        assert (admitted_rates(level, offered)[near] == offered[near]).all()


@given(st.floats(0, 1e4), st.floats(0, 1e4), rates)
def test_a_higher_limit_never_lowers_the_level(limit, more, clients):
    less, level = client_level(limit, clients), client_level(limit + more, clients)
    assert level.qps >= less.qps * (1 - 1e-9)
    assert level.abusive_above_qps == less.abusive_above_qps


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda: client_level(1, [math.nan]), id="unknown rate"),
        pytest.param(lambda: client_level(1, [-1]), id="negative rate"),
        pytest.param(lambda: client_level(math.inf, [1]), id="infinite limit"),
        pytest.param(lambda: ClientPolicy(window_s=0), id="no window"),
        pytest.param(lambda: ClientPolicy(deviations=math.nan), id="unknown deviations"),
        pytest.param(lambda: ClientPolicy(least_ratio=0.9), id="the median is abusive"),
        pytest.param(lambda: ClientPolicy(least_clients=0), id="nobody is enough"),
        pytest.param(lambda: ClientPolicy(abusive_share=2), id="abusers get more"),
    ],
)
def test_impossible_input_is_refused(broken):
    with pytest.raises(ValueError, match=r"must be|median itself|a share is"):
        broken()

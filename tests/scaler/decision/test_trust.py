"""A forecast is believed as far as its predictions have come true."""

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision import trust as trust_module
from scaler.decision.trust import (
    MEMORY_S,
    PROBATION_S,
    ForecastOutcome,
    Standing,
    Trust,
    TrustRules,
    initial_trust,
    updated_trust,
)

MINUTE = 60.0
NORMAL = NormalDist()
RULES = TrustRules()


def outcome(*, actual, predicted=110.0, judged=108.0, last=100.0, surprisal=1.0, steps=3):
    return ForecastOutcome(steps, surprisal, predicted, judged, last, actual)


def trust_over_time(actual, predicted_qps, *, rules=RULES, trust=None, spread=10.0):
    """Return the trust after each minute; the forecast is N(predicted_qps, spread)."""
    trust = trust or initial_trust(rules, steps=3)
    result = [trust]
    for before, now, mean in zip(actual, actual[1:], predicted_qps[1:], strict=False):
        quantiles = (
            mean + spread * NORMAL.inv_cdf(level) for level in (trust.level, rules.judged_level)
        )
        trust = updated_trust(
            trust, ForecastOutcome(3, 1.0, *quantiles, before, now), rules, MINUTE
        )
        result.append(trust)
    return result


def misses(actual, predicted_qps, trusts, spread):
    """Return whether each minute exceeded the quantile read for it."""
    read = np.array([trust.level for trust in trusts[:-1]])
    predicted = predicted_qps[1:] + spread * np.array([NORMAL.inv_cdf(level) for level in read])
    return actual[1:] > predicted


# How wide the truth is where the forecast says 10, and what share a fixed level 0.95 then misses.
WIDTHS = [
    pytest.param(12.0, 0.085, id="too narrow a forecast"),  # 1 - Phi(1.645 x 10/12)
    pytest.param(8.0, 0.020, id="too wide a forecast"),  # 1 - Phi(1.645 x 10/8)
]


@pytest.mark.parametrize(("width", "fixed_share"), WIDTHS)
def test_the_share_of_misses_converges_to_the_risk_for_any_traffic(width, fixed_share):
    n = 20_000
    actual = 100 + np.random.default_rng(5).normal(0, width, n)
    predicted_qps = np.full(n, 100.0)
    adapted = trust_over_time(actual, predicted_qps)
    fixed = [adapted[0]] * n
    shares = [
        float(misses(actual, predicted_qps, trusts, 10.0).mean()) for trusts in (fixed, adapted)
    ]
    assert shares[0] == pytest.approx(fixed_share, abs=0.006)  # three standard errors
    # Gibbs and Candes, 2021, Proposition 4.1: within (width of the level's range) / (gain x n) =
    # 0.19 / (0.005 x 20,000) = 0.002 of it; the range's end, now and then met, takes the rest.
    assert shares[1] == pytest.approx(RULES.risk, abs=0.005)


def test_the_level_adapts_when_the_noise_changes():
    n = 20_000
    widths = np.where(np.arange(n) < n // 2, 8.0, 12.0)
    actual = 100 + widths * np.random.default_rng(6).normal(size=n)
    predicted_qps = np.full(n, 100.0)
    missed = misses(actual, predicted_qps, trust_over_time(actual, predicted_qps), 10.0)
    assert [float(half.mean()) for half in np.array_split(missed, 2)] == pytest.approx(
        [RULES.risk] * 2, abs=0.004
    )


outcomes = st.builds(
    ForecastOutcome,
    st.integers(1, 30),
    st.floats(0, 1e15),
    *[st.floats(0, 1e6) for _ in range(4)],
)


@given(
    st.lists(st.tuples(outcomes, st.floats(1, 1e6)), max_size=40),
    st.floats(0.001, 0.5),
)
def test_all_values_of_trust_stay_in_range(history, risk):
    rules = TrustRules(risk=risk)
    trust = initial_trust(rules, steps=4)
    for one, seconds in history:
        trust = updated_trust(trust, one, rules, seconds)
        assert max(1 - 4 * risk, 0.5) - 1e-9 <= trust.level <= 1 - risk / 4 + 1e-9
        assert -1e-9 <= trust.coverage <= 1 + 1e-9
        assert 1 / one.steps <= trust.theta <= 1
        assert trust.loss >= 0
        assert trust.rival_loss >= 0


@pytest.mark.parametrize("field", ["surprisal", "predicted", "judged", "last", "actual"])
def test_an_unknown_outcome_changes_nothing(field):
    trust = updated_trust(initial_trust(RULES, 3), outcome(actual=90.0), RULES, MINUTE)
    unknown = replace(outcome(actual=120.0), **{field: math.nan})
    assert updated_trust(trust, unknown, RULES, MINUTE) == trust


def test_a_model_without_outcomes_is_trusted_at_the_level_asked_for():
    trust = initial_trust(TrustRules(risk=0.02), steps=4)
    assert (trust.level, trust.standing) == (0.98, Standing.TRUSTED)
    assert trust.theta == 0.5  # half way between 1 and 1/4, as powers of 4
    assert math.isnan(trust.skill)


def walk(n, seed=1):
    """A service whose demand wanders: the last value is a fair guess, off by 2 QPS or so."""
    return 500 + np.cumsum(np.random.default_rng(seed).normal(0, 2.0, n))


def benched_minutes(trusts):
    return [i for i, trust in enumerate(trusts) if trust.standing is Standing.BENCHED]


def test_a_broken_model_is_benched_after_probation_and_not_before():
    actual = walk(600)
    trusts = trust_over_time(actual, actual + 200.0)
    first = benched_minutes(trusts)[0]
    assert first == PROBATION_S / MINUTE
    assert benched_minutes(trusts) == list(range(first, 600))


def test_a_benched_model_that_recovers_returns_and_stays():
    actual = walk(4000)
    predicted_qps = actual + np.where(np.arange(4000) < 600, 60.0, 0.0)
    standings = [trust.standing for trust in trust_over_time(actual, predicted_qps, spread=2.0)]
    back = max(i for i, s in enumerate(standings) if s is Standing.BENCHED)
    assert 600 < back < 600 + 5 * MEMORY_S / MINUTE  # what was wrong is forgotten by then
    assert changes(standings) == 2  # out and in


def changes(standings):
    """How often the model was benched or returned."""
    benched = np.array([standing is Standing.BENCHED for standing in standings])
    return int(np.count_nonzero(np.diff(benched)))


def test_a_model_that_hovers_about_the_threshold_does_not_flap(monkeypatch):
    rng = np.random.default_rng(2)
    actual = walk(8000, seed=2)
    # An error that leaves the model about twice as bad as its rival.
    hovering = actual + rng.normal(0, 4.25, 8000)

    def changes_of_standing():
        return changes([t.standing for t in trust_over_time(actual, hovering, spread=4.25)])

    assert changes_of_standing() <= 2
    monkeypatch.setattr(trust_module, "PROBATION_S", 0.0)
    monkeypatch.setattr(trust_module, "RETURN_AT", trust_module.BENCH_AT)
    assert changes_of_standing() > 20  # without the two


def test_a_probation_separates_two_changes_of_standing(monkeypatch):
    # A short memory, and a model that breaks and mends every hour, twice within each probation.
    monkeypatch.setattr(trust_module, "MEMORY_S", 600.0)
    actual = walk(3000, seed=4)
    broken = (np.arange(3000) // 60) % 2 == 0
    predicted_qps = actual + np.where(broken, 300.0, 0.0)
    trusts = trust_over_time(actual, predicted_qps, spread=2.0)
    benched = np.array([trust.standing is Standing.BENCHED for trust in trusts])
    turns = np.flatnonzero(np.diff(benched))
    assert len(turns) > 10
    assert (np.diff(turns) >= PROBATION_S / MINUTE).all()


@pytest.mark.parametrize(
    ("level", "before", "expected"),
    [
        # risk 0.05: widened below a half of it, and again trusted above 0.05 / 1.4 = 0.0357.
        pytest.param(0.974, Standing.TRUSTED, Standing.TRUSTED, id="0.026 is not half the risk"),
        pytest.param(0.976, Standing.TRUSTED, Standing.WIDENED, id="0.024 is"),
        pytest.param(0.966, Standing.WIDENED, Standing.WIDENED, id="0.034 is not yet back"),
        pytest.param(0.963, Standing.WIDENED, Standing.TRUSTED, id="0.037 is"),
    ],
)
def test_a_forecast_that_missed_too_often_is_widened_with_hysteresis(level, before, expected):
    trust = replace(initial_trust(RULES, 3), level=level, standing=before)
    assert updated_trust(trust, outcome(actual=100.0), RULES, MINUTE).standing is expected


def test_misses_raise_the_level_fast_and_hits_lower_it_slowly():
    trust = initial_trust(RULES, 3)
    missed = updated_trust(trust, outcome(actual=999.0), RULES, MINUTE)
    held = updated_trust(trust, outcome(actual=1.0), RULES, MINUTE)
    assert missed.level - trust.level == pytest.approx(0.005 * 0.95)  # gain x (1 - risk)
    assert held.level - trust.level == pytest.approx(-0.005 * 0.05)  # gain x risk


def test_the_margin_without_a_forecast_keeps_the_risk_too():
    actual = 500 + np.random.default_rng(9).normal(0, 20.0, 30_000)
    trusts = trust_over_time(actual, actual)
    margins = np.array([trust.margin for trust in trusts[:-1]])
    missed = actual[1:] > actual[:-1] + margins
    assert float(missed[5000:].mean()) == pytest.approx(RULES.risk, abs=0.005)


def test_one_absurd_outcome_does_not_spoil_the_extremal_index_for_weeks():
    trust = initial_trust(RULES, steps=4)
    trust = updated_trust(trust, outcome(actual=1.0, surprisal=1e14, steps=4), RULES, MINUTE)
    for _ in range(24 * 60):
        trust = updated_trust(trust, outcome(actual=100.0, surprisal=1.0, steps=4), RULES, MINUTE)
    assert trust.theta > 0.5


def test_an_outcome_after_a_long_gap_replaces_the_averages_and_weighs_no_more():
    trust = updated_trust(initial_trust(RULES, 3), outcome(actual=90.0), RULES, MINUTE)
    later = updated_trust(trust, outcome(actual=999.0), RULES, 10 * MEMORY_S)
    assert later.coverage == 0.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param({"risk": 0.0}, "risk is 0.0", id="no risk at all"),
        pytest.param({"risk": 1.0}, "risk is 1.0", id="certain failure"),
        pytest.param({"risk": math.nan}, "risk is nan", id="a risk that is unknown"),
    ],
)
def test_impossible_rules_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        TrustRules(**wrong)


def test_skill_is_the_loss_relative_to_that_of_the_rival():
    trust = Trust(level=0.95, coverage=0.95, theta=0.5, surprisal=2.0, loss=3.0, rival_loss=2.0)
    assert trust.skill == 1.5

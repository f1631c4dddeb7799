"""The sum of shares never exceeds the limit, also while gateways come, go and lose responses."""

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from scaler.limits.assignment import assign
from scaler.limits.shares import DemandReport, SharePolicy, ShareReason, Shares

POLICY = SharePolicy(lease_s=10.0)
FAIR, WAITS, NEWCOMER, LEARNING = ShareReason


def report(shares, limit, wants, now, policy=POLICY):
    """Return the shares after reports of these gateways; each uses its newest grant."""
    by_name = {share.instance: share for share in shares.shares}
    reports = [
        DemandReport(name, qps, by_name[name].grants[-1].version if name in by_name else None)
        for name, qps in wants.items()
    ]
    return assign(shares, limit, reports, now=now, policy=policy)


def settled(limit, wants, rounds=4):
    """Shares after every gateway has reported several times, two seconds apart, up to second 0."""
    shares = Shares()
    for n in range(rounds):
        shares = report(shares, limit, wants, now=2.0 * (n + 1 - rounds))
    return shares


def qps_of(shares):
    return {share.instance: share.qps for share in shares.shares}


@pytest.mark.parametrize(
    ("limit", "wants", "expected"),
    [
        # The reserve for new gateways is 0.02 of the limit.
        pytest.param(1000, {"a": 5.0}, {"a": 980}, id="one gateway has all but the reserve"),
        pytest.param(1000, {"a": 9e3, "b": 480}, {"a": 500, "b": 480}, id="fair by what is wanted"),
        pytest.param(1000, {"a": 9e3, "b": 9e3}, {"a": 490, "b": 490}, id="equals get equal parts"),
        pytest.param(
            1000,
            {"a": 300, "b": 100},
            {"a": 662.5, "b": 317.5},  # of 580: 290 / 2 each, and 290 x 3/4 or 290 x 1/4
            id="half of what is left evenly, half in proportion",
        ),
        pytest.param(
            1000, {"a": 9e3, "b": 0}, {"a": 979, "b": 1}, id="an idle gateway keeps one token"
        ),
        pytest.param(
            1000,
            {"a": 400, "b": None},
            {"a": 490, "b": 490},
            id="unknown wants are the mean of the others",
        ),
        pytest.param(20, {"a": 99, "b": 99}, {"a": 9.5, "b": 9.5}, id="the reserve is one token"),
        pytest.param(
            2, {"a": 9, "b": 9, "c": 9, "d": 9}, dict.fromkeys("abcd", 0.45), id="less than a token"
        ),  # (2 - 2 / 10) / 4, where one token each is impossible
        pytest.param(0, {"a": 9, "b": 9}, {"a": 0, "b": 0}, id="of a limit of zero all get zero"),
    ],
)
def test_shares_converge_to_the_fair_shares(limit, wants, expected):
    shares = settled(limit, wants)
    assert qps_of(shares) == pytest.approx(expected, abs=2e-3)  # a 1024th is lost in rounding
    assert {share.reason for share in shares.shares} == {FAIR}


def test_a_new_gateway_gets_a_share_at_once_and_its_fair_share_when_the_others_have_shrunk():
    shares = settled(1000, {"a": 9e3})
    seen = []
    for n, wants in enumerate([{"b": 9e3}, {"a": 9e3}, {"a": 9e3}, {"b": 9e3}]):
        shares = report(shares, 1000, wants, now=1.0 + n)
        seen.append((*qps_of(shares).values(), shares["b"].reason))
    assert seen == [
        (980, 10, NEWCOMER),  # half of the reserve of 20
        (490, 10, NEWCOMER),  # a has been granted less, but may not have received it
        (490, 10, NEWCOMER),  # now a has confirmed it
        (490, 490, FAIR),
    ]


def test_new_gateways_leave_part_of_the_reserve_for_the_next_one():
    shares = settled(1000, {"a": 9e3})
    for n, name in enumerate("bcdefg"):
        shares = report(shares, 1000, {name: 9e3}, now=1.0 + n / 10)
    newcomers = [qps for name, qps in qps_of(shares).items() if name != "a"]
    # Halves of 20 down to whole tokens, and then what is left.
    assert newcomers == [10.0, 5.0, 2.5, 1.25, 1.0, 0.25]


def test_the_share_of_a_silent_gateway_is_free_when_its_lease_expires():
    shares = settled(1000, {"a": 9e3, "b": 9e3})
    still = report(shares, 1000, {"a": 9e3}, now=9.9)
    free = report(shares, 1000, {"a": 9e3}, now=10.0)
    assert (qps_of(still), qps_of(free)) == ({"a": 490, "b": 490}, {"a": 980})


def test_a_grant_that_may_have_been_lost_leaves_the_old_one_booked_until_it_expires():
    shares = settled(1000, {"a": 900, "b": 80})
    lost = shares["a"].grants[-1].version
    for now in (2.0, 4.0, 6.0, 8.0):  # each time a is granted half, and the response is lost
        shares = report(shares, 1000, {"b": 490.0}, now=now)
        stale_report = DemandReport("a", 490.0, lost)
        shares = assign(shares, 1000, [stale_report], now=now, policy=POLICY)
        assert shares["a"].qps == pytest.approx(490)
        assert shares["b"].qps < 90
    shares = report(shares, 1000, {"b": 490.0}, now=10.0)
    assert shares["b"].qps == pytest.approx(490)


def test_after_a_fall_of_the_limit_every_new_grant_fits_it():
    shares = settled(1000, {"a": 9e3, "b": 9e3})
    first = report(shares, 500, {"a": 9e3}, now=1.0)
    both = report(first, 500, {"b": 9e3}, now=1.5)
    assert (qps_of(first), qps_of(both)) == ({"a": 245, "b": 490}, {"a": 245, "b": 245})


def test_after_a_fall_of_the_limit_two_idle_gateways_cannot_both_take_all_of_it():
    shares = settled(1000, {"a": 0.0, "b": 0.0})
    shares = report(shares, 100, {"a": 9e3}, now=9.0)  # only a has demand: 97 would be fair
    shares = report(shares, 100, {"b": 9e3}, now=9.5)
    assert qps_of(shares) == {"a": 50, "b": 49}


def test_a_server_without_its_predecessors_state_only_renews_grants():
    shares = Shares(learning_until=10.0)
    old = DemandReport("a", 9e3, version=41, holds_qps=300.0)
    shares = assign(shares, 1000, [old, DemandReport("b", 9e3)], now=1.0, policy=POLICY)
    assert [(s.qps, s.reason) for s in shares.shares] == [(300, LEARNING), (0, LEARNING)]
    shares = report(shares, 1000, {"a": 9e3, "b": 9e3}, now=10.0)
    assert shares["b"].qps > 0


def test_without_reports_nothing_changes_but_what_has_expired():
    shares = settled(1000, {"a": 9e3})
    assert assign(shares, 1000, [], now=1.0, policy=POLICY).shares[0].qps == 980
    assert assign(shares, 1000, [], now=10.0, policy=POLICY).shares == ()


def test_the_same_reports_give_the_same_shares_in_any_order():
    reports = [
        DemandReport(name, wants) for name, wants in (("a", 900.0), ("b", 50.0), ("c", 200.0))
    ]
    shares = settled(500, {"a": 9e3, "b": 9e3, "c": 9e3})
    once = assign(shares, 500, reports, now=1.0, policy=POLICY)
    again = assign(shares, 500, reports[::-1], now=1.0, policy=POLICY)
    assert qps_of(once) == qps_of(again)


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        pytest.param(lambda: SharePolicy(lease_s=0.0), "lease_s is 0", id="no lease"),
        pytest.param(
            lambda: DemandReport("a", math.nan), "a: nan QPS", id="wants are None if unknown"
        ),
        pytest.param(
            lambda: DemandReport("a", 1.0, 1, -1.0), "a: -1.0 QPS", id="holds less than 0"
        ),
        pytest.param(lambda: report(Shares(), math.nan, {}, 0.0), "limit is nan", id="limit"),
        pytest.param(
            lambda: assign(Shares(), 1, [DemandReport("a", 1)] * 2, now=0.0, policy=POLICY),
            "may report only once",
            id="two reports",
        ),
        pytest.param(lambda: Shares()["a"], "no share of 'a'", id="unknown gateway"),
    ],
)
def test_impossible_input_is_refused(broken, fault):
    with pytest.raises((ValueError, KeyError), match=fault):
        broken()


class Gateways(RuleBasedStateMachine):
    """Gateways that use the last grant they received, whatever the server assumes."""

    @initialize(limit=st.floats(0, 500))
    def start(self, limit):
        self.policy = SharePolicy(lease_s=10.0)
        self.now = 0.0
        self.shares = Shares()
        self.limits = [(0.0, limit)]  # (since, limit)
        self.in_use = {}  # name: (version, qps, expires_at)
        self.memory_s = self.policy.lease_s

    @property
    def limit(self):
        return self.limits[-1][1]

    @rule(
        names=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True),
        wants=st.none() | st.sampled_from([0.0, 1.0, 1e4]) | st.floats(0, 500),
        lost=st.booleans(),
        says=st.booleans(),
    )
    def ask(self, names, wants, lost, says):
        reports = []
        for name in names:
            version, qps, expires_at = self.in_use.get(name, (None, 0.0, -1.0))
            holds = qps if self.now < expires_at else 0.0
            # A gateway that has lost its own state, or a simple one, does not report its version.
            # But a server that has lost its state depends on `holds_qps`.
            reports.append(DemandReport(name, wants, version if says else None, holds))
        self.shares = assign(self.shares, self.limit, reports, now=self.now, policy=self.policy)
        for name in names:
            last = self.shares[name].grants[-1]
            if not lost:
                self.in_use[name] = (last.version, last.qps, last.expires_at)

    @rule(name=st.sampled_from("abcdef"))
    def die(self, name):
        self.in_use.pop(name, None)

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.0, 5.0, 9.9, 10.0]))
    def wait(self, seconds):
        self.now += seconds

    @rule(limit=st.floats(0, 500))
    def change_limit(self, limit):
        self.limits.append((self.now, limit))

    @rule()
    def fail_over(self):
        # Grants from before, renewed while the server learns: three leases.
        self.memory_s = 3 * self.policy.lease_s
        self.shares = Shares(
            version=self.shares.version, learning_until=self.now + self.policy.lease_s
        )

    @invariant()
    def the_sum_of_valid_grants_is_within_the_limits_of_the_last_lease(self):
        if not hasattr(self, "limits"):
            return
        total = sum(qps for _, qps, expires_at in self.in_use.values() if self.now < expires_at)
        begin = self.now - self.memory_s
        ends = [since for since, _ in self.limits[1:]] + [math.inf]
        recent = [limit for (_, limit), end in zip(self.limits, ends, strict=True) if end >= begin]
        assert total <= max(recent)

    @invariant()
    def entitlements_never_exceed_what_is_booked(self):
        if hasattr(self, "limits") and self.shares.shares:
            booked = sum(share.booked_qps for share in self.shares.shares)
            entitled = sum(share.entitled_qps for share in self.shares.shares)
            assert entitled <= booked


TestGateways = Gateways.TestCase
TestGateways.settings = settings(stateful_step_count=40)

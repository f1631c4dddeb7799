"""A gateway tells when demand has moved, and what came before and since apart."""

import pytest

from scaler.gateway.counts import CountedTraffic


def counted(traffic, name="", admitted=0, denied=0):
    traffic.recent.admitted[name] += admitted
    traffic.recent.denied[name] += denied
    if not denied:
        del traffic.recent.denied[name]


def reported(qps, denied=0.0, seconds=2.0):
    """Return what has reported this demand, at second 0."""
    traffic = CountedTraffic()
    traffic.begin(-seconds)
    counted(traffic, "", round((qps - denied) * seconds), round(denied * seconds))
    traffic.report_fields(0.0)
    return traffic


@pytest.mark.parametrize(
    ("before", "since", "moved"),
    [
        pytest.param({"qps": 100.0}, {"admitted": 20}, False, id="the same"),
        pytest.param({"qps": 100.0}, {"admitted": 30}, False, id="chance"),
        pytest.param({"qps": 100.0}, {"admitted": 60}, True, id="three times as much"),
        pytest.param({"qps": 100.0}, {"admitted": 0}, True, id="nothing any more"),
        pytest.param({"qps": 0.0}, {"admitted": 9}, True, id="a start"),
        pytest.param({"qps": 0.0}, {"admitted": 5}, False, id="a few after nothing"),
        pytest.param({"qps": 100.0}, {"admitted": 18, "denied": 2}, True, id="the first refused"),
        pytest.param(
            {"qps": 100.0, "denied": 10.0}, {"admitted": 18, "denied": 2}, False, id="refused still"
        ),
        pytest.param(
            {"qps": 100_000.0}, {"admitted": 21_000}, False, id="more than chance, and of no matter"
        ),
    ],
)
def test_demand_has_moved_where_chance_does_not_explain_it_or_requests_begin_to_be_refused(
    before, since, moved
):
    traffic = reported(**before)
    counted(traffic, **since)
    assert traffic.moved(0.2) is moved


def test_a_class_that_begins_to_be_refused_is_told_though_another_is_all_the_time():
    traffic = reported(qps=100.0, denied=50.0)
    counted(traffic, "pay", admitted=1, denied=1)
    assert traffic.moved(0.2)


def test_what_came_before_the_last_look_is_reported_apart_and_nothing_is_lost():
    traffic = reported(qps=100.0)
    for look in range(1, 6):
        counted(traffic, admitted=20)
        assert not traffic.moved(look * 0.2)
    counted(traffic, admitted=90)
    assert traffic.moved(1.2)
    earlier, since = traffic.earlier_fields(), traffic.report_fields(1.2)
    assert (earlier["admitted"], earlier["interval_s"]) == (100, pytest.approx(1.0))
    assert (since["admitted"], since["interval_s"]) == (90, pytest.approx(0.2))
    assert traffic.total().admitted[""] == 200 + 190


def test_a_report_in_time_is_on_all_that_came_since_the_one_before():
    traffic = reported(qps=100.0)
    counted(traffic, admitted=20)
    assert not traffic.moved(0.2)
    counted(traffic, admitted=180)
    said = traffic.report_fields(2.0)
    assert (said["admitted"], said["interval_s"]) == (200, 2.0)


def test_right_after_a_report_there_is_nothing_before():
    traffic = reported(qps=0.0)
    counted(traffic, admitted=50)
    assert traffic.moved(0.2)
    assert traffic.earlier_fields() is None

import numpy as np
import pytest

from benchmarks.limiters.population import CLASSES, Population, Retries, draw

SMALL = Population(normal=50, abusive=2, normal_qps=100.0, abusive_qps=40.0)


def drawn(seed=0, normal=1.0, abusive=1.0, ticks=400):
    levels = np.full(ticks, normal), np.full(ticks, abusive)
    return draw(SMALL, *levels, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param({"normal": 0}, "normal is 0", id="somebody must be normal"),
        pytest.param({"abusive": -1}, "abusive -1", id="clients are counted from 0"),
        pytest.param({"normal_qps": np.nan}, "normal_qps is nan", id="a rate is known"),
        pytest.param({"mix": (0.5, 0.5)}, "mix is", id="every class has a share"),
        pytest.param({"abusive_mix": (0.5, 0.5, 0.5)}, "abusive_mix", id="shares sum up to 1"),
        pytest.param({"retry_share": 1.0}, "retry_share is 1.0", id="nobody retries for ever"),
        pytest.param({"back_off_s": 0.0}, "back_off_s is 0.0", id="a back-off takes time"),
    ],
)
def test_a_population_that_cannot_be_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Population(**wrong)


def test_levels_of_different_length_are_refused():
    with pytest.raises(ValueError, match="levels have shapes"):
        draw(SMALL, np.ones(3), np.ones(4), np.random.default_rng(0))


def test_clients_send_at_their_rates():
    sent = drawn(normal=2.0).counts.sum(axis=(0, 1)) / 400
    assert sent[:50].sum() == pytest.approx(200, rel=0.02)  # 100 QPS x level 2
    assert sent[50:] == pytest.approx([20, 20], rel=0.1)  # 40 QPS / 2 clients


def test_classes_have_their_shares():
    by_class = drawn().counts.sum(axis=(0, 2))
    assert by_class / by_class.sum() == pytest.approx(SMALL.mix, rel=0.1)
    assert len(by_class) == len(CLASSES)


def test_an_abusive_client_is_silent_until_it_is_switched_on():
    assert drawn(abusive=0.0).counts[:, :, 50:].sum() == 0


def test_the_same_seed_draws_the_same_traffic():
    assert (drawn(seed=3).counts == drawn(seed=3).counts).all()
    assert (drawn(seed=3).counts != drawn(seed=4).counts).any()


def test_an_abusive_client_retries_at_once_and_a_normal_one_after_a_back_off():
    retries = Retries(SMALL, np.random.default_rng(0))
    retries.add(np.full((3, 52), 1000.0))
    due = [retries.due() for _ in range(200)]
    assert (due[0][:, 50:] == 800.0).all()
    assert (due[1][:, 50:] == 0.0).all()
    normal = np.array([x[0, 0] for x in due])
    assert normal.sum() == pytest.approx(500, abs=1)  # the rest is given up
    # The first due second is the next one, so a mean of 5 s ends half a second later here.
    assert (normal * np.arange(200)).sum() / normal.sum() == pytest.approx(4.5, abs=0.1)


def test_whole_requests_come_again_whatever_part_of_them_was_refused():
    retries, came = Retries(SMALL, np.random.default_rng(0)), []
    for _ in range(2000):
        retries.add(np.full((3, 52), 0.3))
        came.append(retries.due())
    assert (np.mod(came, 1.0) == 0.0).all()
    assert np.mean(came, axis=(0, 1))[:50] == pytest.approx(0.15, abs=0.01)  # 0.3 x 0.5
    assert np.mean(came, axis=(0, 1))[50:] == pytest.approx(0.24, abs=0.01)  # 0.3 x 0.8

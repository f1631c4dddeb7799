"""The network and its loss, for any input and weights."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecaster.features.timing import ANCHOR_COUNT
from forecaster.features.windows import CONTEXT_FEATURES, HORIZON_FEATURES, RECENT_FEATURES
from forecaster.models.config import ModelConfig
from forecaster.models.lstm import DeviationLSTM, expand, pinball
from forecaster.models.lstm_forward import LARGEST_LOG
from tests.forecaster.evaluation.fitting_samples import LEVELS

BATCH, HORIZON, CONTEXT = 3, 4, 5
INPUTS = ((HORIZON, HORIZON_FEATURES), (CONTEXT_FEATURES,), (CONTEXT, RECENT_FEATURES))
LEVEL_SETS = [
    pytest.param((0.5,), id="the median alone"),
    pytest.param((0.05, 0.1, 0.5), id="the median last"),
    pytest.param((0.5, 0.9, 0.99), id="the median first"),
    pytest.param(LEVELS, id="the default"),
    pytest.param((0.49999, 0.5, 0.50001), id="levels close together"),
]


def network(levels=LEVELS, *, seed: int = 0, shaken: float = 0.0) -> DeviationLSTM:
    """Return a network before fitting, or with its weights ``shaken`` as fitting might."""
    torch.manual_seed(seed)
    config = ModelConfig(
        context_length=CONTEXT, prediction_length=HORIZON, quantile_levels=levels, hidden_size=8
    )
    made = DeviationLSTM(config)
    with torch.no_grad():
        for weights in made.parameters():
            weights.add_(shaken * torch.randn_like(weights))
    return made.eval()


def some_inputs(seed: int = 0) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    horizon, context, recent = (rng.normal(size=(BATCH, *shape)) for shape in INPUTS)
    context[:, -ANCHOR_COUNT:] = rng.dirichlet(np.ones(ANCHOR_COUNT), BATCH)
    return [torch.tensor(x, dtype=torch.float32) for x in (horizon, context, recent)]


def block(shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float32, (BATCH, *shape), elements=st.floats(-1e6, 1e6, width=32))


@pytest.mark.parametrize("levels", LEVEL_SETS)
@given(inputs=st.tuples(*map(block, INPUTS)), seed=st.integers(0, 99))
def test_quantiles_never_cross_whatever_the_input_and_the_weights(levels, inputs, seed):
    with torch.inference_mode():
        out = network(levels, seed=seed, shaken=1.0)(*map(torch.tensor, inputs))
    assert out.shape == (BATCH, HORIZON, len(levels))
    assert torch.isfinite(out).all()
    assert (out.diff(dim=2) >= 0).all()


@pytest.mark.parametrize("levels", LEVEL_SETS)
def test_before_fitting_the_median_is_the_blend_of_the_anchors(levels):
    horizon, context, recent = some_inputs()
    out = network(levels)(horizon, context, recent)[..., levels.index(0.5)]
    anchors = expand(horizon[..., :ANCHOR_COUNT])
    blend = (anchors * context[:, None, -ANCHOR_COUNT:]).sum(dim=-1)
    torch.testing.assert_close(out, blend, rtol=1e-3, atol=5e-3)  # no weight is below 1e-4


def test_before_fitting_the_levels_are_those_of_laplace_noise_with_mean_size_one():
    out = network()(*some_inputs())
    spread = (out - out[..., [LEVELS.index(0.5)]])[0, 0]
    # -log(2 x 0.1) below the median, and above; -log(2 x 0.05), -log(2 x 0.01)
    expected = torch.tensor([-1.6094, 0.0, 1.6094, 2.3026, 3.9120])
    torch.testing.assert_close(spread, expected, rtol=0, atol=1e-3)


def test_expanding_a_compressed_deviation_restores_it():
    deviation = torch.tensor([-300.0, -1.0, 0.0, 0.25, 300.0])
    compressed = deviation.sign() * deviation.abs().log1p()
    torch.testing.assert_close(expand(compressed), deviation)


def test_the_deviation_of_an_anchor_is_clipped():
    far = torch.tensor([1e3, -1e30, 3e38])
    largest = float(np.expm1(LARGEST_LOG))
    torch.testing.assert_close(expand(far), torch.tensor([largest, -largest, largest]))


def loss_of(predicted, target, levels, peak=None) -> float:
    tensors = [torch.tensor(x, dtype=torch.float32) for x in (predicted, target, levels)]
    weight = None if peak is None else torch.tensor(peak, dtype=torch.float32)
    return float(pinball(*tensors, weight))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param([[3.0]], 0.9 * 2, id="above: the level"),
        pytest.param([[0.0]], 0.1 * 1, id="below: one minus the level"),
        pytest.param([[1.0]], 0.0, id="hit"),
        pytest.param([[float("nan")]], 0.0, id="unknown"),
        pytest.param([[3.0], [float("nan")]], 0.9 * 2, id="unknown moments are not in the mean"),
    ],
)
def test_the_loss_is_the_pinball_loss_of_the_known_samples(target, expected):
    predicted = [[[1.0]]] * len(target)
    assert loss_of(predicted, target, [0.9]) == pytest.approx(expected)


def test_a_peak_weighs_more_above_the_median_only():
    predicted, target = [[[0.0, 0.0, 0.0]]], [[10.0]]
    plain = loss_of(predicted, target, [0.1, 0.5, 0.9])
    weighted = loss_of(predicted, target, [0.1, 0.5, 0.9], peak=[[2.0]])
    assert plain == pytest.approx((1 + 5 + 9) / 3)
    assert weighted == pytest.approx((1 + 5 + 3 * 9) / 3)  # 1 + 2 times the loss at 0.9
    assert loss_of(predicted, target, [0.1, 0.5, 0.9], peak=[[0.0]]) == plain


def test_unknown_samples_have_no_gradient():
    target = torch.randn(BATCH, HORIZON)
    inputs, levels = some_inputs(), torch.tensor(LEVELS)

    def gradients(hidden_window: float) -> list[torch.Tensor]:
        made = network(shaken=0.1)
        moved = [torch.cat([x, torch.full_like(x[:1], hidden_window)]) for x in inputs]
        unknown = torch.cat([target, torch.full((1, HORIZON), float("nan"))])
        pinball(made(*moved), unknown, levels).backward()
        return [weights.grad for weights in made.parameters()]

    for one, other in zip(gradients(0.0), gradients(3.0), strict=True):
        torch.testing.assert_close(one, other)
        assert torch.isfinite(one).all()


def test_every_weight_has_a_gradient():
    made = network(shaken=0.1)
    loss = pinball(made(*some_inputs()), torch.randn(BATCH, HORIZON) * 5, torch.tensor(LEVELS))
    loss.backward()
    assert [name for name, w in made.named_parameters() if not (w.grad != 0).any()] == []


def test_a_window_does_not_depend_on_the_others_of_its_batch():
    made, inputs = network(shaken=0.5), some_inputs()
    together = made(*inputs)
    alone = torch.cat([made(*(x[[i]] for x in inputs)) for i in range(BATCH)])
    torch.testing.assert_close(together, alone)

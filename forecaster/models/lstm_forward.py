"""The network's forward pass in numpy, for all predictions; PyTorch is only used for training.

It computes the same as `lstm.DeviationLSTM`, from the same weights. The result of a window has the
same bits whatever other windows are predicted with it: the recurrent products always have `TILE`
windows, the last tile is filled up with zeros, and all other products have one window. Products
over any number of windows would not do, as BLAS rounds a row depending on its place and on the
number of rows.

The output is ``(windows, horizon, levels)``. Internally features come before windows or steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from forecaster.data.series import Block
from forecaster.features.timing import ANCHOR_COUNT
from forecaster.features.windows import (
    CONTEXT_FEATURES,
    HORIZON_FEATURES,
    RECENT_FEATURES,
    Windows,
)
from forecaster.models.candidate import require_shape
from forecaster.models.config import MEDIAN, ModelConfig

# Windows per recurrent product: one kernel of OpenBLAS on every kind of processor tried. With
# 32, the windows of one product are rounded in two ways on processors with AVX2; tests check this.
TILE = 16
# Tiles at once: few enough for the processor's cache, enough that Python's overhead is small.
TILES = 8
# Above this number of multiplications OpenBLAS would start threads, whose synchronisation takes
# longer than such small products.
LARGEST_PRODUCT = 2**18
# Lower bound of an anchor's prior weight, so that the network may prefer an anchor that the blend
# does not use.
MIN_WEIGHT = 1e-4
# Deviations of anchors are clipped to expm1(6) = 402 noise scales.
LARGEST_LOG = 6.0


def shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of a network's arrays, by the names of torch's ``state_dict``."""
    hidden, out = config.hidden_size, ANCHOR_COUNT + len(config.quantile_levels)
    return {
        "lstm.weight_ih_l0": (4 * hidden, RECENT_FEATURES),
        "lstm.weight_hh_l0": (4 * hidden, hidden),
        "lstm.bias_ih_l0": (4 * hidden,),
        "lstm.bias_hh_l0": (4 * hidden,),
        "from_window.weight": (hidden, hidden + CONTEXT_FEATURES),
        "from_window.bias": (hidden,),
        "from_step.weight": (hidden, HORIZON_FEATURES),
        "from_step.bias": (hidden,),
        "between.weight": (hidden, hidden),
        "between.bias": (hidden,),
        "out.weight": (out, hidden),
        "out.bias": (out,),
    }


@dataclass(frozen=True, eq=False)
class Network:
    """One fitted network; ``weights`` has the arrays of `shapes`."""

    config: ModelConfig
    weights: Mapping[str, Block]

    @classmethod
    def from_tensors(
        cls, config: ModelConfig, tensors: Mapping[str, npt.NDArray[Any]], prefix: str = ""
    ) -> Network:
        """Return the network whose arrays' names begin with ``prefix``.

        Raises KeyError or ValueError where they are not those of ``config``.
        """
        expected = {f"{prefix}{name}": shape for name, shape in shapes(config).items()}
        found = {name for name in tensors if name.startswith(prefix)}
        if unknown := found - expected.keys():
            raise ValueError(f"{min(unknown)} is no array of the network")
        for name, shape in expected.items():
            require_shape(tensors[name], shape, name)
        weights = {
            name.removeprefix(prefix): np.asarray(tensors[name], dtype=np.float32)
            for name in expected
        }
        return cls(config, weights)

    def forward(self, horizon: Block, context: Block, recent: Block) -> Block:
        """Return the quantiles of the deviation in noise scales, ``(windows, horizon, levels)``.

        The arguments are those of `Windows`; their windows fill whole tiles.
        """
        last = np.concatenate([self._last_state(recent), _tiles(context)], axis=1)
        window = self._linear("from_window", last).swapaxes(1, 2).reshape(len(context), -1, 1)
        steps = horizon.swapaxes(1, 2)  # (windows, features, horizon)
        x = self._linear("from_step", steps)
        x += window
        x = _silu(x)
        x += _silu(self._linear("between", x))
        out = self._linear("out", x)
        prior = np.log(np.maximum(context[:, -ANCHOR_COUNT:], np.float32(MIN_WEIGHT)))
        mix = _softmax(out[:, :ANCHOR_COUNT] + prior[:, :, None])
        anchors = expand(np.ascontiguousarray(steps[:, :ANCHOR_COUNT]))
        median = (mix * anchors).sum(axis=1, keepdims=True) + out[:, ANCHOR_COUNT, None]
        gaps = _softplus(out[:, ANCHOR_COUNT + 1 :])  # (windows, levels - 1, horizon)
        below = self.config.quantile_levels.index(MEDIAN)
        lower = gaps[:, :below][:, ::-1].cumsum(axis=1)[:, ::-1]
        upper = gaps[:, below:].cumsum(axis=1)
        levels = np.concatenate([median - lower, median, median + upper], axis=1)
        return levels.swapaxes(1, 2)

    def _last_state(self, recent: Block) -> Block:
        """Return the LSTM's state after the newest sample, ``(tiles, hidden, windows of a tile)``.

        The input, forget and output gates are ``sigmoid(z) = (1 + tanh(z / 2)) / 2``; their weights
        are halved in advance.
        """
        hidden = self.config.hidden_size
        samples = recent.reshape(-1, TILE, *recent.shape[1:]).transpose(2, 0, 3, 1)
        # The input of each step's product: the state before it, its sample, and 1 for the bias.
        given = np.ones((samples.shape[1], hidden + RECENT_FEATURES + 1, TILE), dtype=np.float32)
        given[:, :hidden] = 0
        cell = np.zeros((samples.shape[1], hidden, TILE), dtype=np.float32)
        half = np.float32(0.5)
        for sample in samples:
            given[:, hidden:-1] = sample
            gates = _product(self._layers["lstm"], given)
            np.tanh(gates, out=gates)
            into, forget, new, out = np.split(gates, 4, axis=1)
            cell *= half * forget + half
            cell += (half * into + half) * new
            np.multiply(half * out + half, np.tanh(cell), out=given[:, :hidden])
        return given[:, :hidden]

    def _linear(self, layer: str, x: Block) -> Block:
        result = _product(self._layers[layer], x)
        result += self.weights[f"{layer}.bias"][:, None]
        return result

    @cached_property
    def _layers(self) -> dict[str, Block]:
        """Return each layer's weights in the pieces that `_product` takes."""
        w = self.weights
        bias = w["lstm.bias_ih_l0"] + w["lstm.bias_hh_l0"]
        lstm = np.concatenate([w["lstm.weight_hh_l0"], w["lstm.weight_ih_l0"], bias[:, None]], 1)
        into, forget, new, out = np.split(lstm, 4)
        layers = {"lstm": np.concatenate([into / 2, forget / 2, new, out / 2])}
        layers |= {n: w[f"{n}.weight"] for n in ("from_window", "from_step", "between", "out")}
        width = max(TILE, self.config.prediction_length)
        return {name: _pieces(weights, width) for name, weights in layers.items()}


def mean_deviation(networks: Sequence[Network], windows: Windows) -> Block:
    """Return the mean prediction, ``(windows, horizon, levels)``, in noise scales."""
    levels = networks[0].config.quantile_levels
    result = np.empty((*windows.blend.shape, len(levels)), dtype=np.float32)
    for first in range(0, len(windows), TILE * TILES):
        place = slice(first, min(first + TILE * TILES, len(windows)))
        inputs = [_padded(x[place]) for x in (windows.horizon, windows.context, windows.recent)]
        total = networks[0].forward(*inputs)
        for network in networks[1:]:
            total += network.forward(*inputs)
        total /= np.float32(len(networks))
        result[place] = total[: place.stop - first]
    return result


def _padded(rows: Block) -> Block:
    """Return the rows with zeros after them, up to whole tiles."""
    block = np.zeros((-(-len(rows) // TILE) * TILE, *rows.shape[1:]), dtype=np.float32)
    block[: len(rows)] = rows
    return block


def _tiles(rows: Block) -> Block:
    """Return ``(windows, features)`` as ``(tiles, features, windows of a tile)``."""
    return rows.reshape(-1, TILE, rows.shape[1]).swapaxes(1, 2)


def _pieces(weights: Block, width: int) -> Block:
    """Return ``(out, in)`` weights split into ``(pieces, out, in)``; see `LARGEST_PRODUCT`."""
    rows, columns = weights.shape
    while rows * columns * width > LARGEST_PRODUCT and rows % 2 == 0:
        rows //= 2
    return np.ascontiguousarray(weights.reshape(-1, rows, columns))


def _product(pieces: Block, x: Block) -> Block:
    """Return the weights times each of ``x``, ``(products, in, width)``."""
    result: Block = np.matmul(pieces, x[:, None])  # (products, pieces, out, width)
    return result.reshape(len(x), -1, x.shape[2])


def expand(compressed: Block) -> Block:
    """Undo the compression of the anchors' deviations."""
    size = np.minimum(np.abs(compressed), np.float32(LARGEST_LOG))
    return np.asarray(np.copysign(np.expm1(size), compressed))


def _silu(x: Block) -> Block:
    """Return ``x * sigmoid(x)``."""
    half = np.float32(0.5) * x
    result: Block = half * np.tanh(half)
    result += half
    return result


def _softmax(x: Block) -> Block:
    weights: Block = np.exp(x - x.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def _softplus(x: Block) -> Block:
    """Return ``log(1 + exp(x))``."""
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))

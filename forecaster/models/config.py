"""The configuration of models and training runs, validated on construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from forecaster.errors import ConfigError
from forecaster.features.timing import Timing

MEDIAN = 0.5
QUANTILE_LEVELS = (0.1, 0.5, 0.9, 0.95, 0.99)
# Levels above the first are extrapolated, and with them one that no candidate predicts.
TAIL_FROM, EXTREME = 0.95, 0.999


def served_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Return the levels that are served where candidates predict ``levels``.

    >>> served_levels((0.5, 0.95, 0.99)), served_levels((0.5, 0.9))
    ((0.5, 0.95, 0.99, 0.999), (0.5, 0.9))
    """
    extra = (EXTREME,) if TAIL_FROM in levels and levels[-1] < EXTREME else ()
    return (*levels, *extra)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


@dataclass(frozen=True)
class ModelConfig:
    """The shape of the model; stored with its weights.

    Attributes:
        step: spacing of the samples.
        context_length: number of recent samples that the LSTM reads.
        prediction_length: number of samples that are forecast.
        quantile_levels: ascending, including the median.
        hidden_size: units of the LSTM and of the decoder.
        dropout: share of units dropped in training.
    """

    step: timedelta = timedelta(minutes=1)
    context_length: int = 60
    prediction_length: int = 30
    quantile_levels: tuple[float, ...] = QUANTILE_LEVELS
    hidden_size: int = 64
    dropout: float = 0.1

    def __post_init__(self) -> None:
        levels = self.quantile_levels
        ascending = list(levels) == sorted(set(levels)) and all(0 < q < 1 for q in levels)
        _require(ascending, f"quantile_levels are {levels}, but must ascend within (0, 1)")
        _require(MEDIAN in levels, f"quantile_levels are {levels}, but must contain the median 0.5")
        _require(
            self.context_length >= 1, f"context_length is {self.context_length}; give at least 1"
        )
        _require(self.hidden_size >= 1, f"hidden_size is {self.hidden_size}; give at least 1")
        _require(0 <= self.dropout < 1, f"dropout is {self.dropout}, but must be in [0, 1)")
        try:
            _ = self.timing
        except ValueError as error:
            raise ConfigError(str(error)) from error

    @property
    def served_levels(self) -> tuple[float, ...]:
        """Levels of what a model serves that knows its tails; see `served_levels`."""
        return served_levels(self.quantile_levels)

    @property
    def timing(self) -> Timing:
        return Timing(self.step, self.prediction_length)


@dataclass(frozen=True)
class TrainConfig:
    """One training run: the same config on the same machine gives the same weights.

    Attributes:
        members: number of networks in the ensemble; each starts from its own seed.
        epochs: maximum number of epochs of ``steps_per_epoch`` gradient steps; see ``patience``.
        patience: a member stops after this many epochs without a better calibration loss.
        peak_weight: additional weight of the upper quantiles' loss on the top 5 % samples of each
            day, as missing a peak costs more than missing a night.
        calibration_share: share of each item's time for early stopping and calibration.
        test_share: last share of each item's time, used for the champion gate only.
        max_windows: maximum number of training windows of all items together.
        time_budget: time for the whole training and its backtest; None: unlimited. The networks
            get what the rest leaves, but a second at least: members and epochs are reduced to fit
            it once, from a short measurement.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    seed: int = 0
    members: int = 3
    epochs: int = 7
    steps_per_epoch: int = 250
    patience: int = 3
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    peak_weight: float = 1.0
    calibration_share: float = 0.125
    test_share: float = 0.125
    max_windows: int = 40_000
    time_budget: timedelta | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in (
            "members", "epochs", "steps_per_epoch", "patience", "batch_size", "max_windows",
        ):  # fmt: skip
            value = getattr(self, name)
            _require(value >= 1, f"{name} is {value}; give at least 1")
        _require(self.seed >= 0, f"seed is {self.seed}; give 0 or more")
        _require(self.learning_rate > 0, f"learning_rate is {self.learning_rate}; give above 0")
        for name in ("weight_decay", "peak_weight"):
            value = getattr(self, name)
            _require(value >= 0, f"{name} is {value}; give 0 or more")
        shares = self.calibration_share, self.test_share
        _require(
            all(0 < share < 1 for share in shares) and sum(shares) <= MEDIAN,
            f"calibration_share and test_share are {shares}, but each must be above 0 and both "
            "together at most half of the history",
        )
        _require(
            self.time_budget is None or self.time_budget > timedelta(0),
            f"time_budget is {self.time_budget}; give e.g. 60s",
        )

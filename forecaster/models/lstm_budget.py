"""What a time budget buys: members, epochs and steps, decided once before anything is fitted."""

from __future__ import annotations

from dataclasses import replace

from forecaster.models.config import TrainConfig

FEWEST_EPOCHS = 3  # an ensemble gives up members before its members get fewer epochs
OVERHEAD = 1.2  # validation and averaging, beside the measured steps


def planned(config: TrainConfig, seconds_per_step: float) -> TrainConfig:
    """Return the config with members and epochs that fit its time budget.

    >>> from datetime import timedelta
    >>> plan = planned(TrainConfig(time_budget=timedelta(seconds=60)), 0.02)
    >>> plan.members, plan.epochs  # 250 steps x 0.02 s x 1.2 = 6 s an epoch
    (3, 3)
    """
    if config.time_budget is None:
        return config
    epoch = seconds_per_step * config.steps_per_epoch * OVERHEAD
    affordable = config.time_budget.total_seconds() / epoch
    for members in range(config.members, 0, -1):
        epochs = min(int(affordable / members), config.epochs)
        if epochs >= min(FEWEST_EPOCHS, config.epochs):
            return replace(config, members=members, epochs=epochs)
    steps = config.steps_per_epoch
    if affordable < 1:
        steps = max(int(steps * affordable), 1)
    return replace(config, members=1, epochs=max(int(affordable), 1), steps_per_epoch=steps)

"""The time budget of a training run: how many members, epochs and steps fit into it."""

from __future__ import annotations

from dataclasses import replace

from forecaster.models.config import TrainConfig

MIN_EPOCHS = 3  # the number of members is reduced before epochs are reduced below this
OVERHEAD = 1.2  # factor for validation and averaging on top of the measured steps


def within_budget(config: TrainConfig, seconds_per_step: float) -> TrainConfig:
    """Return the config with members, epochs and steps reduced to fit its time budget.

    >>> from datetime import timedelta
    >>> plan = within_budget(TrainConfig(time_budget=timedelta(seconds=60)), 0.02)
    >>> plan.members, plan.epochs  # 250 steps x 0.02 s x 1.2 = 6 s an epoch
    (3, 3)
    """
    if config.time_budget is None:
        return config
    epoch = seconds_per_step * config.steps_per_epoch * OVERHEAD
    affordable = config.time_budget.total_seconds() / epoch
    for members in range(config.members, 0, -1):
        epochs = min(int(affordable / members), config.epochs)
        if epochs >= min(MIN_EPOCHS, config.epochs):
            return replace(config, members=members, epochs=epochs)
    steps = config.steps_per_epoch
    if affordable < 1:
        steps = max(int(steps * affordable), 1)
    return replace(config, members=1, epochs=max(int(affordable), 1), steps_per_epoch=steps)

"""Model selection and evaluation: splits by time, the choice per item, and the backtest.

Imports models and below. Used by plots, reports, commands, and the replay in scaler.
"""

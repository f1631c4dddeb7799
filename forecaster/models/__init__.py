"""What forecasts: the LSTM ensemble, its rivals, their calibration, and how a model is stored.

Imports features and data; the home of torch. Used by evaluation, adapters and plots.
"""

"""The forecasters: the LSTM ensemble, the baselines, their calibration, and the stored format.

Imports features and data; the home of torch. Used by evaluation, adapters and plots.
"""

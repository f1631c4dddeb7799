"""What a model sees: anchors (exponential smoothing), and the windows cut around an origin.

Imports forecaster.data. Used by models and evaluation.
"""

"""The inputs of the models: anchors (exponential smoothing), and the windows at an origin.

Imports forecaster.data. Used by models and evaluation.
"""

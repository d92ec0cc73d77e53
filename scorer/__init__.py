"""From features to a decision: specs, models, training, calibration, metrics, the registry.

This package knows no lake: it works on arrays and model files, and imports none of the others.
"""

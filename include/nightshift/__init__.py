"""Nightshift: nightly retraining of TensorFlow models, released safely."""

__version__ = "0.1.0"

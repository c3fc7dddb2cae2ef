"""Evaluation: candidate and champion on the same holdout, measured from one table."""

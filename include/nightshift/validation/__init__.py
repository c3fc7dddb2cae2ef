"""Judging the data before anything is trained: statistics, schema, drift, expectations."""

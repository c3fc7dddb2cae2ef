"""Operators of models."""

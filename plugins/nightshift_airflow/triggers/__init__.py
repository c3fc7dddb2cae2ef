"""Waiting that holds no worker."""

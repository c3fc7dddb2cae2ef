"""Signatures of released artifacts: made at registration, checked before a host loads them."""

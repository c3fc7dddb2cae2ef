"""The command ``./nightshift``: what people type, and what they see."""

"""Training: from a pinned snapshot to a SavedModel that answers raw requests."""

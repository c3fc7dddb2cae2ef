"""Gates: rules that a candidate must meet before a person or a release sees it."""

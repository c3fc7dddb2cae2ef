"""Report pages: one look for every report, self-contained, with every value escaped."""

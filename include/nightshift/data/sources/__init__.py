"""Real data that the shipped pipelines start from: one module each, ``days()`` gives the rows."""

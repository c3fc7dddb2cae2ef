"""What goes wrong with nights of Parquet: kinds of corruption, seeded, each with a strength."""

"""The sinks that ship in the box: Parquet, CSV and Arrow, each a folder of files or one file."""

"""What will be done: files found, cut and packed, finished parts recognised. Writes nothing."""

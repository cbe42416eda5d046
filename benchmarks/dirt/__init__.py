"""Kinds of dirt in CSV files, and what readers of CSV make of each."""

"""A staged hybrid data-pipeline engine."""

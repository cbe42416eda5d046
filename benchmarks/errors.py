"""The one error that ends the bench."""

import click


class BenchError(click.ClickException):
    """Data that cannot be made, a peer that failed, or a result that is wrong. Exit code 1."""

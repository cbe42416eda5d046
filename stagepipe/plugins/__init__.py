"""Plugins: finding and importing them, and what the steps in them are."""

from stagepipe.plugins.manager import PluginNote, Plugins
from stagepipe.plugins.options import sink_options_model
from stagepipe.plugins.steps import Step, StepName, load_step, place_of

__all__ = [
    "PluginNote",
    "Plugins",
    "Step",
    "StepName",
    "load_step",
    "place_of",
    "sink_options_model",
]

"""Guessing how CSV files are written and what their columns hold, from samples of their bytes.

Pure: who reads the files is elsewhere (`stagepipe.plan.sampling`). Records and fields are those of
Python's csv module, by whose rules the reader goes as well.
"""

from stagepipe.declare.guess.columns import ColumnGuess, Evidence, is_utf8
from stagepipe.declare.guess.dialect import FileGuess, guess_file, records, text_of
from stagepipe.declare.guess.notation import NotationGuess, common, decide

__all__ = [
    "ColumnGuess",
    "Evidence",
    "FileGuess",
    "NotationGuess",
    "common",
    "decide",
    "guess_file",
    "is_utf8",
    "records",
    "text_of",
]

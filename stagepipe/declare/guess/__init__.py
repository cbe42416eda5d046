"""Guessing how CSV files are written and what their columns hold, from samples of their bytes.

Pure: who reads the files is elsewhere (`stagepipe.plan.sampling`). Records and fields are those of
Python's csv module, by whose rules the reader goes as well.
"""

from stagepipe.declare.guess.columns import ColumnGuess, Evidence, is_utf8
from stagepipe.declare.guess.dialect import FileGuess
from stagepipe.declare.guess.doubts import doubts_of
from stagepipe.declare.guess.encoding import EncodingGuess, guess_encoding
from stagepipe.declare.guess.files import (
    first_table_end,
    guess_file,
    has_marked_records,
    has_void_line,
)
from stagepipe.declare.guess.footers import footer_lines, looks_like_footer
from stagepipe.declare.guess.notation import NotationGuess, common, decide
from stagepipe.declare.guess.records import records, text_of

__all__ = [
    "ColumnGuess",
    "EncodingGuess",
    "Evidence",
    "FileGuess",
    "NotationGuess",
    "common",
    "decide",
    "doubts_of",
    "first_table_end",
    "footer_lines",
    "guess_encoding",
    "guess_file",
    "has_marked_records",
    "has_void_line",
    "is_utf8",
    "looks_like_footer",
    "records",
    "text_of",
]

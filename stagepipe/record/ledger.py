"""The ledger: one SQLite file that says what was done. Written by the parent alone, in batches.

It answers questions about the past. What may be taken again is decided by the receipts in the
spool, so that a lost ledger costs history and never a row.
"""

from __future__ import annotations

from stagepipe.record.ledger_drift import DriftTables
from stagepipe.record.ledger_file import LedgerError, Row
from stagepipe.record.ledger_notes import RunNotes
from stagepipe.record.ledger_questions import NoSuchRunError, RunQuestions

__all__ = ["Ledger", "LedgerError", "NoSuchRunError", "Row"]


class Ledger(RunNotes, RunQuestions, DriftTables):
    """The ledger of a state folder. Made when it is missing, unless `must_exist`."""

"""The tables of the ledger, and how those of older versions become these."""

from __future__ import annotations

VERSION = 5
RUNNING = "running"
"""The status of a run from its beginning to its end, or to the next run's beginning."""

DRIFT_TABLES = """
CREATE TABLE profiles (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL REFERENCES runs(run),
    pipeline TEXT NOT NULL,
    source TEXT NOT NULL,
    profile TEXT NOT NULL
) STRICT;
CREATE INDEX profiles_of ON profiles (pipeline, source);
CREATE TABLE profiled_files (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline TEXT NOT NULL,
    source TEXT NOT NULL,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    records INTEGER NOT NULL,
    UNIQUE (pipeline, source, path, size, mtime_ns)
) STRICT;
CREATE TABLE drift (
    run TEXT NOT NULL REFERENCES runs(run),
    source TEXT NOT NULL,
    "column" TEXT,
    kind TEXT NOT NULL,
    was TEXT NOT NULL,
    now TEXT NOT NULL,
    message TEXT NOT NULL,
    on_drift TEXT NOT NULL
) STRICT;
"""
"""What the files of committed runs were like, and what was new about those of a run."""

TABLES = f"""
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL UNIQUE,
    pipeline TEXT NOT NULL,
    file TEXT,
    status TEXT NOT NULL,
    started TEXT NOT NULL,
    ended TEXT,
    seconds REAL,
    jobs INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    read INTEGER, added INTEGER, written INTEGER, rejected INTEGER, dropped INTEGER,
    files INTEGER NOT NULL, dead INTEGER NOT NULL DEFAULT 0, skipped INTEGER NOT NULL DEFAULT 0,
    rejects TEXT,
    error TEXT, hint TEXT,
    replay_of TEXT, mended INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE stages (
    run TEXT NOT NULL REFERENCES runs(run),
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    read INTEGER, added INTEGER, written INTEGER, rejected INTEGER, dropped INTEGER,
    made INTEGER NOT NULL, taken INTEGER NOT NULL, dead INTEGER NOT NULL, retried INTEGER NOT NULL,
    dropped_by TEXT NOT NULL, added_by TEXT NOT NULL, rejected_by TEXT NOT NULL DEFAULT '{{}}',
    seconds REAL NOT NULL,
    PRIMARY KEY (run, position)
) STRICT;
CREATE TABLE tasks (
    run TEXT NOT NULL REFERENCES runs(run),
    stage TEXT NOT NULL,
    chunk INTEGER NOT NULL,
    source TEXT NOT NULL,
    key TEXT NOT NULL,
    decision TEXT NOT NULL,
    reason TEXT NOT NULL,
    read INTEGER, added INTEGER, written INTEGER, rejected INTEGER, dropped INTEGER,
    input_bytes INTEGER, bytes INTEGER, sha256 TEXT,
    seconds TEXT NOT NULL,
    error TEXT,
    PRIMARY KEY (run, stage, chunk)
) STRICT;
CREATE TABLE files (
    run TEXT NOT NULL REFERENCES runs(run),
    source TEXT NOT NULL,
    path TEXT NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    records INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    dead TEXT,
    is_mended INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, path, start, inode)
) STRICT;
CREATE TABLE rejects (
    run TEXT NOT NULL REFERENCES runs(run),
    stage TEXT NOT NULL,
    source TEXT NOT NULL,
    "column" TEXT,
    reason TEXT NOT NULL,
    records INTEGER NOT NULL
) STRICT;
CREATE TABLE outputs (
    run TEXT NOT NULL REFERENCES runs(run),
    stage TEXT NOT NULL,
    path TEXT NOT NULL,
    rows INTEGER NOT NULL,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    changed INTEGER NOT NULL
) STRICT;
{DRIFT_TABLES}
"""

_SETTLED = """
CREATE TABLE settled (
    pipeline TEXT NOT NULL,
    source TEXT NOT NULL,
    path TEXT NOT NULL,
    byte_offset INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (pipeline, source, path, byte_offset)
) STRICT;
"""
TABLES += _SETTLED

MIGRATIONS = {
    1: "ALTER TABLE stages ADD COLUMN rejected_by TEXT NOT NULL DEFAULT '{}';",
    2: "ALTER TABLE runs ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;",
    3: DRIFT_TABLES,
    4: "ALTER TABLE runs ADD COLUMN replay_of TEXT;"
    "ALTER TABLE runs ADD COLUMN mended INTEGER NOT NULL DEFAULT 0;"
    f"ALTER TABLE files ADD COLUMN is_mended INTEGER NOT NULL DEFAULT 0;{_SETTLED}",
}
"""What makes of a ledger of a version one of the next."""

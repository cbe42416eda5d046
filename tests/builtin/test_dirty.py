"""The sample data with believable dirt, through the whole program."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import stagepipe
from stagepipe.record import rejects

SAMPLE = Path(__file__).parents[2] / "sample_data" / "dirty"


@pytest.mark.parametrize("chunk_size", [None, 300])
def test_the_rejects_are_those_worked_out_by_hand(tmp_path, chunk_size):
    """Field for field, also where files are cut into small pieces; and no other row is lost."""
    folder = tmp_path / "dirty"
    shutil.copytree(SAMPLE, folder)
    if chunk_size:
        text = (folder / "pipeline.toml").read_text()
        changed = text.replace("[pipeline]\n", f'[pipeline]\nchunk_size = "{chunk_size}B"\n')
        (folder / "pipeline.toml").write_text(changed)
    result = stagepipe.run(stagepipe.load(folder / "pipeline.toml"), jobs=1)
    assert result.error is None
    assert (result.rows.read, result.rows.written, result.rows.rejected) == (99, 87, 12)
    assert result.rejects is not None
    shown = io.StringIO(newline="")
    rejects.write_csv(rejects.read(folder / result.rejects), shown)
    assert shown.getvalue() == (SAMPLE / "EXPECTED.csv").read_bytes().decode()
    remarks = pq.read_table(tmp_path / "out/dirty/reports").column("remark").to_pylist()
    assert 'Captain: "all good"' in remarks
    assert 'Snow 6" deep at the gate' in remarks
    assert len(remarks) == 87

"""The step as a function, and as an installed plugin in a real run."""

import hashlib
import hmac
from importlib.metadata import entry_points
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from stagepipe_pseudonyms import pseudonymize

import stagepipe

KEY = "a secret of some length"


def expected(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


def test_texts_are_replaced_and_missing_ones_stay():
    """Each text becomes its HMAC, and a missing value stays missing."""
    frame = pl.DataFrame({"email": ["a@x.org", None, "b@x.org", "a@x.org"], "n": [1, 2, 3, 4]})
    result = pseudonymize(frame, columns=["email"], key=KEY)
    assert_frame_equal(
        result,
        pl.DataFrame(
            {
                "email": [expected("a@x.org"), None, expected("b@x.org"), expected("a@x.org")],
                "n": [1, 2, 3, 4],
            }
        ),
    )


def test_no_rows_and_no_values():
    """A table without rows or values keeps its shape."""
    frame = pl.DataFrame({"email": [None, None]}, schema={"email": pl.String})
    assert pseudonymize(frame, columns=["email"], key=KEY).equals(frame)
    assert pseudonymize(frame.head(0), columns=["email"], key=KEY).height == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["email"], "key": "short"}, "fewer than 16"),
        ({"columns": ["email"], "key": KEY, "length": 4}, "8 to 64"),
        ({"columns": ["n"], "key": KEY}, "not text"),
    ],
)
def test_wrong_options_are_refused(options, message):
    """A short key, a short pseudonym and a column of numbers are refused."""
    frame = pl.DataFrame({"email": ["a@x.org"], "n": [1]})
    with pytest.raises(ValueError, match=message):
        pseudonymize(frame, **options)


def test_an_installed_plugin_is_found(tmp_path: Path):
    """A pipeline uses the step by its name alone, because the distribution is installed."""
    assert "pseudonyms" in entry_points(group="stagepipe").names
    (tmp_path / "people.csv").write_text("id,email\n1,a@x.org\n2,\n")
    pipeline = stagepipe.Pipeline(
        name="people",
        folder=tmp_path,
        sources=[stagepipe.Source(name="crm", files="people.csv")],
        schema=stagepipe.Schema(columns={"id": "int64", "email": "string"}),
        stages=[
            stagepipe.Stage(
                name="private",
                steps=[stagepipe.Use("pseudonymize", columns=["email"], key=KEY)],
                sink=stagepipe.Sink(path="people"),
            )
        ],
    )
    result = stagepipe.run(pipeline)
    assert result.error is None
    rows = pl.read_parquet(tmp_path / "out/people/*.parquet").rows()
    assert rows == [(1, expected("a@x.org")), (2, None)]

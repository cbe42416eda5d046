"""What globs match: what `glob` says, and an end where that has none."""

from __future__ import annotations

import glob
from pathlib import Path

import pytest

from stagepipe.plan.globbing import Globbing


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Folders, hidden ones, odd names, and links to files, to folders elsewhere and to nothing."""
    names = ["1.csv", "a/1.csv", "a/b/1.csv", "a/b/c/2.csv", "a/.h/1.csv", "a/b/.1.csv", "d/[x]/3"]
    for name in (*names, "d/b/1.csv", "d/é\udcff/a/1.csv", "**/1.csv"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "in/d/other").symlink_to("../a")
    (tmp_path / "in/a/file.csv").symlink_to("b/1.csv")
    (tmp_path / "in/a/me.csv").symlink_to("me.csv")
    (tmp_path / "in/nothing").symlink_to("nowhere")
    (tmp_path / "in/empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "pattern",
    [
        *("in/**/*.csv", "in/**/1.csv", "**", "**/*", "in/**", "in/**/", "**/", "in/a/**/b/*.csv"),
        *("in/**/b/**/*.csv", "**/**/1.csv", "*/**/1.csv", "in/?/**/*", "in/a**/*.csv"),
        *(
            "in/**b/*.csv",
            "in/**/.h/*",
            "in/**/.*",
            "in/[*][*]/*",
            "in/**/[[]x]/*",
            "in//**//*.csv",
        ),
        *("in/1.csv", "in/*/*.csv", "nowhere/**/*", "in/1.csv/**/*", "./in/**/*", "in/../**/1.csv"),
    ],
)
def test_where_no_link_leads_in_a_circle_it_is_what_glob_matches(tree: Path, pattern: str) -> None:
    for each in (pattern, f"{tree}/{pattern}"):
        looking = Globbing(tree)
        wanted = glob.glob(each, root_dir=tree, recursive=True)  # noqa: PTH207
        assert {path.replace("//", "/") for path in looking.matches(each)} == {
            path.replace("//", "/") for path in wanted
        }
        assert not looking.circles


@pytest.mark.parametrize(
    ("links", "circles"),
    [
        ({"in/s1": ".", "in/s2": "."}, {"in/s1", "in/s2"}),
        ({"in/a/up": "..", "in/a/b/up": "../.."}, {"in/a/up", "in/a/b/up"}),
        ({"in/a/up": "../.."}, {"in/a/up"}),
        ({"in/a/to": "../d", "in/d/to": "../a"}, {"in/a/to/to", "in/d/to/to"}),
    ],
)
def test_links_in_circles_are_named_and_not_followed(
    tree: Path, links: dict[str, str], circles: set[str]
) -> None:
    """By the ways that lead to them, and each once."""
    (tree / "in/d/other").unlink()
    for link, target in links.items():
        (tree / link).symlink_to(target)
    looking = Globbing(tree)
    found = list(looking.matches("in/**/1.csv"))
    assert "in/a/b/1.csv" in found
    assert looking.circles == circles

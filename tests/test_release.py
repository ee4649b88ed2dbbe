"""What stands against a release is said, and archives do not tell where and when they were made."""

from __future__ import annotations

import io
import runpy
import tarfile
from pathlib import Path
from typing import Any

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "release"))
OLD = "\n## [0.1.0] - 2026-01-01\n\n- First.\n"
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n### Added\n- More.\n" + OLD


def against(changelog: str = CHANGELOG, here: str = "", tags: str = "v0.1.0", changed: str = "") -> list[str]:
    """What stands against a release of 0.2.0."""
    return SCRIPT["disagreements"]("0.2.0", changelog, set(here.split()), set(tags.split()), changed)


@pytest.mark.parametrize(("here", "tags"), [("", ""), ("", "v0.1.0"), ("v0.2.0 best", "v0.1.0 v0.2.0 best")])
def test_nothing_stands_against_what_agrees(here: str, tags: str) -> None:
    assert against(here=here, tags=tags) == []


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"changelog": "# Changelog\n" + OLD}, "0.1.0"),
        ({"changelog": "# Changelog\n"}, "nothing"),
        ({"changelog": CHANGELOG.replace("[Unreleased]\n", "[Unreleased]\n\n- Late.\n")}, "Unreleased"),
        ({"changelog": CHANGELOG.replace(" - 2026-12-01", "")}, "no date"),
        ({"here": "v0.3.0", "tags": "v0.3.0"}, "has the tag v0.3.0"),
        ({"tags": "v0.1.0 v0.2.0"}, "released once"),
        ({"changed": " M ui/cli.py"}, "ui/cli.py"),
    ],
)
def test_what_disagrees_is_said(facts: dict[str, Any], said: str) -> None:
    (wrong,) = against(**facts)
    assert said in wrong


def packed(path: Path, order: int, moment: int, owner: str, mode: int) -> Path:
    """An archive of two files."""
    with tarfile.open(path, "w:gz") as archive:
        for name in ("veil/a.py", "veil/b.py")[::order]:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uname, member.uid, member.mode = 5, moment, owner, moment, mode
            archive.addfile(member, io.BytesIO(name[-4:].encode() + b"\n"))
    return path


def test_an_archive_is_the_same_whoever_makes_it(tmp_path: Path) -> None:
    mine = packed(tmp_path / "mine.tar.gz", 1, 1_000_000, "me", 0o600)
    yours = packed(tmp_path / "yours.tar.gz", -1, 2_000_000, "you", 0o664)
    assert mine.read_bytes() != yours.read_bytes()
    for path in (mine, yours):
        SCRIPT["normalise"](path, 1_500_000)
    assert mine.read_bytes() == yours.read_bytes()
    with tarfile.open(mine) as archive:
        assert archive.getnames() == ["veil/a.py", "veil/b.py"]
        opened = archive.extractfile("veil/b.py")
        assert opened
        assert opened.read() == b"b.py\n"
        assert {(one.mtime, one.uid, one.uname, one.mode) for one in archive} == {(1_500_000, 0, "", 0o644)}

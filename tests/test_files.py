"""Files appear whole, together and never in the place of others; what killed runs left goes with the next."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from veil.core import files
from veil.core.errors import BadPhoto
from veil.core.files import atomic_write, check_writable, fitting, printable


def write(*paths: Path, replace: bool = False) -> None:
    with atomic_write(*paths, replace=replace) as parts:
        for part in parts:
            part.write_text("new")


def _no_links(*_: object) -> None:
    raise OSError(errno.EPERM, "this file system has no hard links")


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize("taken", ["a", "b"])
def test_nothing_is_replaced_unless_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool, taken: str
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    (tmp_path / taken).write_text("old")
    with pytest.raises(BadPhoto, match="appeared while veil was at work"):
        write(tmp_path / "a", tmp_path / "b")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {taken: "old"}
    write(tmp_path / "a", tmp_path / "b", replace=True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "new", "b": "new"}
    write(tmp_path / "c", tmp_path / "d")
    assert (tmp_path / "c").read_text() == "new"


def test_a_link_that_leads_nowhere_is_not_replaced_either(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")
    with pytest.raises(BadPhoto, match="appeared"):
        write(tmp_path / "a")
    assert os.readlink(tmp_path / "a") == "nowhere"


KILLED = """
import sys, time
from pathlib import Path
from veil.core.files import atomic_write
with atomic_write(Path(sys.argv[1]) / "a") as (part,):
    part.write_text("half")
    print("begun", flush=True)
    time.sleep(600)
"""


def test_leftovers_of_a_killed_run_are_cleared_and_those_of_a_living_one_are_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE) as run:
        assert run.stdout
        assert run.stdout.readline() == b"begun\n"
        (left,) = tmp_path.iterdir()
        check_writable(tmp_path)
        assert (left / "a").read_text() == "half"
        run.send_signal(signal.SIGKILL)
    assert left.exists()
    (tmp_path / ".veil-mine").mkdir()  # no folder that veil makes
    check_writable(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".veil-mine"]


# A run that writes two files, in a process that is killed as it touches its first file, its second, ....
EVERY_MOMENT = """
import os, signal, sys
from itertools import count
from pathlib import Path
from veil.core.files import atomic_write, check_writable

TOUCHES = ("open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod")
place, replace, links = Path(sys.argv[1]), sys.argv[2] == "replace", sys.argv[3] == "links"

def no_links(*_):
    raise OSError("this file system has no hard links")

def write(word):
    with atomic_write(place / "a", place / "b", replace=replace) as parts:
        for part in parts:
            part.write_text(word)

def seen():
    return {path.name: path.read_text() for path in place.iterdir() if not path.name.startswith(".")}

if not links:
    os.link = no_links
for last in count(1):
    for path in place.iterdir():
        path.unlink()
    if replace:
        write("old")
    before, touched = seen(), 0

    def kill(event, arguments):
        global touched
        if event in TOUCHES and str(place) in str(arguments[0]):
            touched += 1
            if touched == last:
                os.kill(os.getpid(), signal.SIGKILL)

    if not (process := os.fork()):
        sys.addaudithook(kill)
        write("new")
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert set(seen().values()) <= {"old", "new", "" if not links else "new"}, seen()
    check_writable(place)  # as the next run does first
    new = {"a": "new", "b": "new"}
    assert seen() in (before, new), (last, seen())
    assert not [path for path in place.iterdir() if path.name not in new], last
    if not seen():
        write("new")
        assert seen() == new
    if ended == 0:
        break
    assert ended == -signal.SIGKILL
print(last)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no processes are forked there")
@pytest.mark.parametrize("links", ["links", "no links"])
@pytest.mark.parametrize("replace", ["replace", "new"])
def test_a_run_may_be_killed_at_any_moment(tmp_path: Path, replace: str, links: str) -> None:
    """Its files appear together: at once, or when the next run has looked."""
    command = [sys.executable, "-c", EVERY_MOMENT, tmp_path, replace, links]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 12  # moments


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    """A name as veil gives it does not make a folder veil's."""
    (tmp_path / ".veil-settings").mkdir()
    (tmp_path / ".veil-settings" / "mine").touch()
    (tmp_path / ".veil-elsewher").symlink_to(tmp_path / ".veil-settings")
    check_writable(tmp_path)
    assert (tmp_path / ".veil-settings" / "mine").exists()
    assert (tmp_path / ".veil-elsewher").is_symlink()


@pytest.mark.parametrize("letter", ["a", "\u4f60", os.fsdecode(b"\xff")])
def test_long_names_are_cut_to_fit(tmp_path: Path, letter: str) -> None:
    name = fitting(tmp_path, letter * 300, ".veiled.json")
    assert name.endswith(f"{letter}.veiled.json")
    assert 250 < len(os.fsencode(name)) <= 255
    (tmp_path / name).touch()
    assert fitting(tmp_path, "short", ".json") == "short.json"


def test_any_path_can_be_printed() -> None:
    assert printable(Path(os.fsdecode(b"bad\xff\xfe \xc3\xa4.jpg"))) == "bad\\xff\\xfe \u00e4.jpg"


def test_names_are_as_long_as_the_file_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pathconf", lambda *_: 143)
    assert len(fitting(tmp_path, "a" * 300, ".json")) == 143
    monkeypatch.delattr(os, "pathconf")
    assert len(fitting(tmp_path, "a" * 300, ".json")) == files.NAME_MAX

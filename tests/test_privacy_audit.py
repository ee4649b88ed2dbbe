"""What veil promises: no command but `fetch` asks the network, and each writes only what it names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from skimage.data import astronaut

from veil.core import telemetry

# Python tells its audit hooks of whatever opens a file or a connection, whichever library does it.
PROGRAM = r"""
import json, os, sys

asked, written, commands = [], [], json.loads(sys.argv[1])

def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        place = arguments[1]
        if not (isinstance(place, tuple) and place[0] in ("127.0.0.1", "::1")):
            asked.append(repr(place))
            print("asked", place, file=sys.stderr)
            raise OSError("no network here")
    elif event == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", "::1", "localhost", None):
        asked.append(repr(arguments[0]))
        print("asked", arguments[0], file=sys.stderr)
        raise OSError("no network here")
    elif event == "open" and isinstance(arguments[0], (str, bytes)):
        path, mode, flags = arguments
        writes = set(mode or "") & set("wax+") or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and not os.fsdecode(path).startswith("/dev/"):
            written.append(os.path.abspath(os.fsdecode(path)))

sys.addaudithook(watch)
from veil.ui.cli import app

for command in commands:
    print(">", *command, file=sys.stderr)
    if command[0] == "ui":
        from gradio_client import Client, handle_file
        from veil.ui.web.server import opened

        with opened() as (_, address):
            client = Client(address, download_files=os.environ["TMPDIR"], verbose=False)
            assert client.predict(handle_file(command[1]), api_name="/faces")
            client.close()
    else:
        code = app(command, standalone_mode=False)
        assert code in (None, 0, 3), (command, code)  # 3: a recogniser still knows the face
print(json.dumps([asked, written]))
"""

OTHERS = ("VEIL_WEIGHTS", "VEIL_DEVICE", "VEIL_HOSTED", "MPLCONFIGDIR", "XDG_CACHE_HOME", "HF_HOME")


def audited(tmp_path: Path, *commands: list[str]) -> tuple[list[str], list[Path]]:
    """Whom commands asked, and what they opened to write, in a process whose home is an empty folder."""
    places = {name: tmp_path / name.lower() for name in ("HOME", "TMPDIR")}
    for place in places.values():
        place.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in OTHERS}
    environment = {**kept, **{name: str(place) for name, place in places.items()}}
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, json.dumps(commands)],
        capture_output=True,
        text=True,
        cwd=places["HOME"],
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    asked, written = json.loads(done.stdout.splitlines()[-1])
    return asked, [Path(path) for path in written]


def left(folder: Path) -> set[str]:
    """The files that are left in a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(astronaut()[20:260, 100:340]).save(folder / "me.png")
    return folder


@pytest.mark.slow
def test_what_people_do_with_photos_stays_here(tmp_path: Path, photos: Path) -> None:
    me, after = str(photos / "me.png"), str(photos / "me.veiled.png")
    asked, written = audited(
        tmp_path,
        ["protect", me, "--effort", "quick", "--surrogates", "mobileface"],
        ["assess", me, after],
        ["faces", me],
        ["models"],
        ["ui", me],
    )
    assert asked == []
    assert left(photos) == {"me.png", "me.veiled.png", "me.veiled.json"}
    fonts = ".cache/matplotlib/fontlist-"  # gradio brings matplotlib, which lists the fonts that are here
    assert [path for path in left(tmp_path / "home") if not path.startswith(fonts)] == []
    assert left(tmp_path / "tmpdir") == set()  # the page's folder went with the page
    others = [path for path in written if not path.is_relative_to(tmp_path)]
    assert others == []
    assert any(path.is_relative_to(photos) for path in written)  # the hook hears of files


@pytest.mark.slow
def test_what_researchers_do_stays_here(tmp_path: Path, faces: Path) -> None:
    out = tmp_path / "out"
    benchmark: list[str] = ["benchmark", str(faces / "six.toml"), "--faces", str(faces), "-o", str(out)]
    asked, written = audited(
        tmp_path,
        [*benchmark, "--workers", "0", "--photos", "1"],
        ["calibrate", str(faces / "people"), "--recognizers", "mobileface", "-o", str(tmp_path / "c.json")],
    )
    assert asked == []
    assert (out / "report.html").exists()
    assert (tmp_path / "c.json").exists()
    caches = {path.split("/")[0] for path in left(tmp_path / "home")}
    assert caches <= {".cache", ".config"}  # matplotlib's list of fonts
    assert left(tmp_path / "tmpdir") == set()
    assert [path for path in written if not path.is_relative_to(tmp_path)] == []


@pytest.mark.slow
def test_the_audit_hears_of_the_network(tmp_path: Path) -> None:
    """So that the tests above can fail: `fetch`, the one command that may, is heard."""
    spoken: Any = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, json.dumps([["fetch", "facenet", "--accept-licence"]])],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path), "VEIL_WEIGHTS": str(tmp_path)},
        check=False,
    )
    assert spoken.returncode != 0
    assert "\nasked " in spoken.stderr
    assert "its server cannot be reached" in spoken.stderr


def test_libraries_report_nothing() -> None:
    program = (
        "import veil, os, huggingface_hub.constants as hub, gradio.analytics as gradio; "
        "assert hub.HF_HUB_DISABLE_TELEMETRY; assert not gradio.analytics_enabled(); "
        "assert os.environ['RAY_USAGE_STATS_ENABLED'] == '0'"
    )
    kept = {name: value for name, value in os.environ.items() if name not in telemetry.OFF}
    done = subprocess.run([sys.executable, "-c", program], env=kept, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr

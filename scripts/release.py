"""Make a release: version, changelog and tag agree, and wheel and sdist are built twice with the same bytes.

    python scripts/release.py [--trial] [-o dist]

Builds what is committed, not what lies around it, from two folders; installs the wheel into a fresh
environment that borrows the dependencies of this one, and runs `veil models` there. `--trial` leaves out
version, changelog and tag. Ends with 1 and says why where something is wrong, and then writes nothing.
Needs the extra "dev".
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).parents[1]


def git(*arguments: str) -> str:
    """What a git command prints."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def disagreements(version: str, changelog: str, here: set[str], tags: set[str], changed: str) -> list[str]:
    """What stands against a release, in words: `here` are the tags of this commit, `tags` are all of them."""
    sections = re.findall(r"^## \[(.+?)\](.*)\n((?:(?!## ).*\n?)*)", changelog, re.MULTILINE)
    filled = [(name, date) for name, date, text in sections if name != "Unreleased" or text.strip()]
    latest, date = filled[0] if filled else ("nothing", "")
    tag, wrong = f"v{version}", list[str]()
    if latest != version:
        wrong.append(f"pyproject.toml says {version}, and the first section of CHANGELOG.md is {latest}.")
    elif not re.fullmatch(r" - \d{4}-\d\d-\d\d", date):
        wrong.append(f"The section {latest} of CHANGELOG.md has no date (## [{latest}] - YYYY-MM-DD).")
    if others := sorted(one for one in here - {tag} if re.match(r"v\d", one)):
        wrong.append(f"pyproject.toml says {version}, and this commit has the tag {', '.join(others)}.")
    if tag in tags - here:
        wrong.append(f"{tag} is the tag of another commit: a version is released once.")
    if changed:
        wrong.append(f"There are changes that are not committed:\n{changed}")
    return wrong


def normalise(sdist: Path, moment: int) -> None:
    """Write a .tar.gz again without what machine and moment left in it: order, owners, modes and times."""
    plain = io.BytesIO()
    with tarfile.open(sdist) as old, tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda one: one.name):
            member.uid, member.gid, member.uname, member.gname = 0, 0, "", ""
            member.mtime, member.pax_headers = moment, {}
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    with sdist.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=moment) as packed:
        packed.write(plain.getvalue())


def build(folder: Path) -> list[Path]:
    """Unpack the commit into a folder and build it there; returns the sdist, and the wheel made from it."""
    moment = git("log", "-1", "--format=%ct")
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", "HEAD"], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as source:
        source.extractall(folder / "source", filter="data")
    options = ["--no-isolation", "--outdir", folder / "dist"]
    command = [sys.executable, "-m", "build", *options, folder / "source"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": moment}
    subprocess.run(command, env=environment, umask=0o022, stdout=subprocess.DEVNULL, check=True)
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    (wheel,) = (folder / "dist").glob("*.whl")
    normalise(sdist, int(moment))
    return [sdist, wheel]


def try_wheel(wheel: Path, folder: Path) -> None:
    """Run `veil models` from a wheel in a fresh environment; raises CalledProcessError where that fails."""
    venv.create(folder)
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", programs / "python", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, wheel], check=True)
    (packages,) = {path.parents[2] for path in folder.rglob("veil/core/__init__.py")}
    borrowed = [path for path in sys.path if path.endswith("-packages")]
    (packages / "borrowed.pth").write_text(
        "\n".join(borrowed), encoding="utf-8"
    )  # .pth files there do not count
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    listed = subprocess.run(
        [programs / "veil", "models"], cwd=folder, env=outside, capture_output=True, text=True, check=True
    )
    assert "portrait" in listed.stdout, listed.stdout


def checksum(path: Path) -> str:
    """A file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(
    output: Annotated[Path, typer.Option("-o", "--output", help="where wheel and sdist go")] = ROOT / "dist",
    trial: Annotated[bool, typer.Option("--trial", help="any commit, whatever its version says")] = False,
) -> None:
    """Check, build twice, compare, try, and say what comes next."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    here, tags = set(git("tag", "--points-at", "HEAD").split()), set(git("tag").split())
    wrong = [] if trial else disagreements(version, changelog, here, tags, git("status", "--porcelain"))
    if wrong:
        print(*wrong, sep="\n")
        raise typer.Exit(1)
    with tempfile.TemporaryDirectory() as temporary:
        first, second = (build(Path(temporary, name)) for name in ("first", "second"))
        if different := [
            one.name for one, two in zip(first, second, strict=True) if checksum(one) != checksum(two)
        ]:
            print("Built twice, and not the same:", *different)
            raise typer.Exit(1)
        try_wheel(first[1], Path(temporary, "fresh"))
        output.mkdir(parents=True, exist_ok=True)
        for path in first:
            print(checksum(path), Path(shutil.copy(path, output)))
    if not trial and f"v{version}" not in here:
        print(f"Next: git tag -a v{version} -m 'veil {version}' && git push origin v{version}")


if __name__ == "__main__":
    typer.run(main)

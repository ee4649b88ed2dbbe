"""Whether two versions of veil make the same pictures, to the bit, on this machine.

    python scripts/same_pictures.py OLD/.venv/bin/python NEW/.venv/bin/python

Each is the Python of an environment in which one version is installed. Both run `veil benchmark` with every
method on two portraits, in few steps, and `veil protect` on a group; every picture, and every figure that is
not a time, must be equal. Ends with 1 where one is not.
"""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from insightface.data import get_image
from PIL import Image
from skimage.data import astronaut

STEPS = "steps = 3, embedding_steps = 2"
METHODS = {
    **{
        preset: f'preset = "{preset}"\nsettings = {{ {STEPS} }}'
        for preset in ("subtle", "balanced", "strong")
    },
    "paper": f'preset = "paper"\nsettings = {{ {STEPS} }}',
    "depth-0": f"settings = {{ depth = 0, {STEPS} }}",
    "views": f"settings = {{ views = 3, {STEPS} }}",
    "reconstruction": 'method = "reconstruction"\nattacks = false',
    **{
        name: f'method = "{name}"\nsettings = {{ steps = 3 }}'
        for name in ("random-noise", "pgd", "mi-fgsm", "ti-dim", "tip-im")
    },
}
SPEC = """
title = "The same pictures?"
dataset = "people"
judges = ["sface"]
disturbances = ["none", "jpeg-75", "purify-50"]
"""
RUN = "from veil.ui.cli import main; main()"
TIMES = ("seconds",)


def photos(folder: Path) -> None:
    """Two people with two photos each, and a group."""
    group = get_image("t1")[..., ::-1]
    parts = {"a": (astronaut()[0:260, 90:350], 0.9), "b": (group[0:320, 800:1130], 0.8)}
    for name, (pixels, scale) in parts.items():
        (folder / "people" / name).mkdir(parents=True)
        image = Image.fromarray(pixels.copy())
        image.save(folder / "people" / name / "1.png")
        image.resize([round(scale * side) for side in image.size]).save(folder / "people" / name / "2.png")
    Image.fromarray(group.copy()).resize((640, 443)).save(folder / "group.png")
    methods = "".join(f'\n[[methods]]\nname = "{name}"\n{said}\n' for name, said in METHODS.items())
    (folder / "spec.toml").write_text(SPEC + methods)


def run(python: str, inputs: Path, output: Path) -> None:
    """All that one version makes of the photos."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    for arguments in (
        (
            "benchmark",
            inputs / "spec.toml",
            "--faces",
            inputs,
            "-o",
            output / "run",
            "--workers",
            "2",
            "--quiet",
        ),
        ("protect", inputs / "group.png", "-o", output, "--effort", "quick", "--faces", "1,2", "--quiet"),
    ):
        output.mkdir(exist_ok=True)
        done = subprocess.run([python, "-c", RUN, *map(str, arguments)], env=environment, check=False)
        if done.returncode not in (0, 3):
            raise SystemExit(f"{python} failed: {arguments[0]}")


def differences(one: Path, other: Path) -> Iterator[str]:
    """What is not equal."""
    pictures = [{path.relative_to(folder) for path in folder.rglob("*.png")} for folder in (one, other)]
    yield from (f"{path}: made once only" for path in sorted(pictures[0] ^ pictures[1]))
    for path in sorted(pictures[0] & pictures[1]):
        if path.parent.name != "run" and (one / path).read_bytes() != (other / path).read_bytes():
            yield f"{path}: other pixels"
    rows = [list(csv.DictReader((folder / "run" / "rows.csv").open())) for folder in (one, other)]
    if len(rows[0]) != len(rows[1]):
        yield "rows.csv: another number of rows"
    for number, (a, b) in enumerate(zip(*rows, strict=False), 1):
        other_values = [name for name in a if name not in TIMES and a[name] != b.get(name)]
        if other_values:
            yield f"rows.csv, row {number}: other {', '.join(other_values)}"
    print(f"{len(pictures[0])} pictures and {len(rows[0])} rows compared")


def main() -> None:
    """Compare the versions of two environments."""
    old, new = sys.argv[1:]
    with TemporaryDirectory() as name:
        folder = Path(name)
        photos(folder)
        for version, python in (("old", old), ("new", new)):
            run(python, folder, folder / version)
        found = list(differences(folder / "old", folder / "new"))
    print("\n".join(found) or "the same, to the bit")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

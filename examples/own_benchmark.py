"""A benchmark of one's own: methods side by side on a folder that has one folder a person.

    python examples/own_benchmark.py [FOLDER_OF_PEOPLE]

Without a folder, one "person" is made up of two crops of a portrait, so that it runs at once and
says nothing.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from skimage.data import astronaut

SPEC = """
title = "My benchmark"
dataset = "{dataset}"
judges = ["sface", "dlib"]      # each is left out of the attack in turn, and then asked
leave_out = "turns"             # one of them for each person
disturbances = ["none", "jpeg-75"]

[[methods]]
name = "veil"
settings = {{ steps = 4 }}        # leave this line out for real figures

[[methods]]
name = "pgd"
method = "pgd"
settings = {{ steps = 4, epsilon = 0.02 }}
"""

with TemporaryDirectory() as name:
    folder = Path(name)
    people = Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else folder / "people"
    if len(sys.argv) == 1:
        (people / "eileen").mkdir(parents=True)
        for number, top in enumerate((0, 12), 1):
            Image.fromarray(astronaut()[top : top + 260, 90:350]).save(people / "eileen" / f"{number}.png")
    (folder / "mine.toml").write_text(SPEC.format(dataset=people.name))
    command = [sys.executable, "-m", "veil", "benchmark", folder / "mine.toml", "--faces", people.parent]
    subprocess.run([*map(str, command), "-o", str(folder / "run"), "--quiet"], check=True)
    print((folder / "run" / "report.md").read_text())

"""The page as a Hugging Face Space: hosted rules, and a GPU where ZeroGPU lends one."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

try:
    import spaces  # before torch, as it asks
except ImportError:  # an ordinary server
    spaces = None

os.environ["VEIL_HOSTED"] = "1"
try:
    import veil.ui  # noqa: F401
except ImportError:  # a Space installs its requirements before the repository is there
    here = str(Path(__file__).resolve().parent)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", here], check=True)

from veil.core.errors import VeilError
from veil.privacy import Protected
from veil.privacy.settings import EFFORTS, SECONDS
from veil.ui import workflow
from veil.ui.web import policy
from veil.ui.web.server import serve

START = 30  # seconds, for what comes before the steps and after
STEP = (
    SECONDS["thorough"] / EFFORTS["thorough"]["steps"]
)  # seconds for a face, as on two cores: no GPU is slower


def duration(tracks, settings, target):
    """For how many seconds a protection may need the GPU; its arguments are those of `workflow.protect`."""
    return round(START + STEP * settings.steps * len(tracks))


def lent(protect, gpu):
    """`protect` on a GPU: of a generator, `gpu` passes on what it yields, but neither returned nor raised."""

    @gpu
    def told(*arguments):
        try:
            yield (yield from protect(*arguments))
        except VeilError as error:
            yield error

    def work(*arguments):
        with closing(told(*arguments)) as items:
            for item in items:
                if isinstance(item, VeilError):
                    raise item
                if isinstance(item, Protected):
                    return item
                yield item

    return work


if spaces:
    workflow.protect = lent(workflow.protect, spaces.GPU(duration=duration))

if __name__ == "__main__":
    serve(policy.rules(os.environ), host="0.0.0.0", port=int(os.environ.get("PORT", "7860")))

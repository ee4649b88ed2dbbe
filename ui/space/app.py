"""The page as a Hugging Face Space: hosted rules, and a GPU where ZeroGPU lends one."""

import os

os.environ["VEIL_HOSTED"] = "1"

from veil.ui import hosting, jobs
from veil.ui.app import serve

try:
    import spaces  # pyright: ignore[reportMissingImports]
except ImportError:  # an ordinary server
    pass
else:
    jobs.protect = spaces.GPU(duration=120)(jobs.protect)

if __name__ == "__main__":
    serve(hosting.rules(os.environ), host="0.0.0.0", port=int(os.environ.get("PORT", "7860")))

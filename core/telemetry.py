"""Nobody is told what is done with veil, by no library that it uses."""

from __future__ import annotations

import os

# The Hugging Face Hub's client, which also asks the Hub who might run it; gradio; Ray.
OFF = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def switch_off() -> None:
    """Switch the reports of libraries off, before they are imported, when they read the environment."""
    os.environ |= OFF

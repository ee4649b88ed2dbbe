"""veil hides who you are from face-recognition machines; people should still recognise you.

    import veil

    result = veil.protect("photo.jpg", strength="balanced")
    result.save("photo.veiled.jpg")
    print(result)

Names are imported when they are asked for: `import veil` alone loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from .core import telemetry

if TYPE_CHECKING:
    from .core.errors import VeilError
    from .core.types import Face, Photo, Step
    from .eval.linking import Linking
    from .eval.report import Report
    from .privacy.settings import Settings
    from .ui.api import (
        ClipReport,
        ClipResult,
        Result,
        assess,
        assess_clip,
        find_faces,
        link,
        open_photo,
        protect,
        recognizers,
    )

__all__ = [
    *("protect", "assess", "assess_clip", "link", "find_faces", "open_photo", "recognizers"),
    *(
        "Result",
        "ClipResult",
        "Report",
        "ClipReport",
        "Linking",
        "Photo",
        "Face",
        "Step",
        "Settings",
        "VeilError",
        "__version__",
    ),
]
telemetry.switch_off()
__version__ = _version("veil")
_PLACES = {
    **dict.fromkeys(
        (
            *("protect", "assess", "assess_clip", "link", "find_faces", "open_photo", "recognizers"),
            *("Result", "ClipResult", "ClipReport"),
        ),
        "ui.api",
    ),
    **dict.fromkeys(("Face", "Photo", "Step"), "core.types"),
    **{
        "Report": "eval.report",
        "Linking": "eval.linking",
        "Settings": "privacy.settings",
        "VeilError": "core.errors",
    },
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)

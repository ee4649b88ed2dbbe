"""What only an extra of the distribution brings."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from .errors import BadSettings


@contextmanager
def needs(extra: str) -> Generator[None]:
    """Imports that an extra of the distribution brings.

    Raises:
        BadSettings: one of them is not installed; the hint is the command that installs it.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or "A package").partition(".")[0]
        raise BadSettings(f"{package} is not installed.", f"Run `pip install 'veil[{extra}]'`.") from error

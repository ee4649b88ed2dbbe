"""Optional dependencies: packages that only an extra of the distribution installs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from .errors import BadSettings


@contextmanager
def needs(extra: str) -> Generator[None]:
    """Import packages of an extra within.

    The command is told for veil's folder, from which it is installed: no registry has it by name.

    Raises:
        BadSettings: one of them is not installed, or does not load; the hint is the command that mends it.
    """
    command = f"pip install '.[{extra}]'"
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "A package").partition(".")[0]
        raise BadSettings(f"{package} is not installed.", f"Run `{command}` in veil's folder.") from error
    except (ImportError, OSError) as error:  # such as a library of the system that is not here
        raise BadSettings(
            f"What the extra {extra!r} brought does not load: {error}.",
            f"Install what is named, or run `{command} --force-reinstall` in veil's folder.",
        ) from error

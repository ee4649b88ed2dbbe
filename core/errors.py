"""Every error that a user of veil can meet.

    VeilError(message, hint)
    ├── BadPhoto           a file that is no usable photograph, or cannot be written
    │   ├── BadClip        a file that is no usable video
    │   └── MadeOtherwise  a result is there already, made with other settings
    ├── NoFace             no face, or none large enough, where one is needed
    ├── BadSettings        a value outside of what is allowed
    │   └── UnknownName    a name that no registry knows
    ├── WeightsMissing     a model's file is not here
    ├── WeightsCorrupt     a model's file is not what its card says
    ├── LicenceNotAccepted a model whose licence must be accepted first
    └── DeviceFull         the device ran out of memory

The command line prints message and hint and exits with 2; the page shows both.
"""


class VeilError(Exception):
    """What went wrong (`message`, one sentence) and the way out (`hint`, one sentence or empty)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadPhoto(VeilError):
    """A file that is no usable photograph, or a place where none can be written."""


class BadClip(BadPhoto):
    """A file that is no usable video."""


class MadeOtherwise(BadPhoto):
    """A result is there already that was made with other settings; it is left as it is."""


class NoFace(VeilError):
    """No face, or none large enough, where one is needed."""


class BadSettings(VeilError):
    """A value outside of what is allowed."""


class UnknownName(BadSettings):
    """A name that no registry knows."""


class WeightsMissing(VeilError):
    """A model's file is not on this machine."""


class WeightsCorrupt(VeilError):
    """A model's file does not have the checksum that its card states."""


class LicenceNotAccepted(VeilError):
    """A model whose licence has to be accepted before it is downloaded."""


class DeviceFull(VeilError):
    """The device ran out of memory."""

"""What commands before have protected of an album: results in its folder, and the files that they were made
of."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..attacks.faces.detection import search
from ..core.images import open_photo
from ..core.types import Stage, Step, Steps
from ..core.video import open_clip
from ..eval.datasets import checksum
from .albums import Album
from .beside import protected_faces
from .clip_records import ClipRecord
from .originals import read
from .outputs import real
from .pipes import is_clip
from .records import Record


@dataclass(frozen=True)
class Earlier:
    """A result of an album, its record, the name of the file that it was made of, and that file, where it is
    still there."""

    result: Path
    record: Path
    name: str
    source: Path | None


def results(folders: Iterable[Path], sources: Collection[Path], taken: Collection[str]) -> list[Earlier]:
    """The results of `veil protect --album` in folders, as they were written.

    Args:
        sources: the files that are protected now; those of before are looked for among and beside these.
        taken: the real paths of what is read and written now, which is left out.
    """
    places = dict.fromkeys(source.parent for source in sources)
    return [
        found
        for folder in dict.fromkeys(folders)
        for record in sorted(folder.glob("*.json"))  # a result that -o names is called otherwise
        if real(record) not in taken and (found := _earlier(record, places))
    ]


def _earlier(record: Path, places: Iterable[Path]) -> Earlier | None:
    made = read(record)
    with suppress(OSError):
        if made.origin.album and (result := _result_of(record, made.picture_sha256)):
            name = Path(made.either).name
            found = (place / name for place in places if (place / name).is_file())
            source = next((one for one in found if checksum(one) == made.origin.either), None)
            return Earlier(result, record, name, source)
    return None


def _result_of(record: Path, picture: str) -> Path | None:
    """The file of this checksum that is called like a record, but for its ending."""
    for one in record.parent.iterdir():
        if one.stem == record.stem and one != record and one.is_file() and checksum(one) == picture:
            return one
    return None


def reopen_all(album: Album, earlier: Collection[Earlier]) -> Steps[list[str]]:
    """Add results of before to an album; returns the names of the files that are missing, or cannot be read.

    Yields a step a result.
    """
    missing = list[str]()
    for number, one in enumerate(earlier, 1):
        try:
            if not one.source:
                raise FileNotFoundError(one.name)
            reopen(album, one.source, one.result, one.record)
        except Exception:  # the others go on, whatever it is
            missing.append(one.name)
        yield Step(Stage.EMBEDDING, number, len(earlier))
    return missing


def reopen(album: Album, source: Path, result: Path, record: Path) -> None:
    """Add to an album a photo or clip that was protected before.

    Raises:
        VeilError, OSError, ValidationError: one of the files is missing, or cannot be read.
    """
    said = record.read_bytes()
    if is_clip(source):
        faces = ClipRecord.model_validate_json(said).faces
        album.reopen_clip(open_clip(source), open_clip(result), faces)
    else:
        report = Record.model_validate_json(said).report
        found = search(open_photo(source).pixels)
        album.reopen(source, result, protected_faces(report, found).values())

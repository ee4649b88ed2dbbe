"""What `veil faces` does with a clip."""

from __future__ import annotations

from pathlib import Path

from ...core.files import printable
from ..terminal import Terminal, exit_words, named


def faces(terminal: Terminal, path: Path, name: str, output: Path | None, force: bool) -> None:
    """List the people of a clip, those first who are shown most, and write a picture of them.

    Raises:
        BadClip: the clip cannot be used, or the picture not be written.
    """
    from ...attacks.faces.tracking import follow
    from ...core.files import atomic_write, check_writable, fitting
    from ...core.video import open_clip
    from .. import clip_faces, clip_words, outputs

    sheet = output
    if not sheet or sheet.is_dir():
        folder = sheet or path.parent
        sheet = folder / fitting(folder, path.stem, ".veil-faces.png")
    check_writable(sheet.parent)
    replace = force or clip_faces.is_sheet(sheet)
    outputs.claimed((sheet,), outputs.reserved(path), replace)
    clip = open_clip(path)
    for note in clip.notes:
        terminal.note(note)
    tracks = terminal.follow(follow(clip.frames(), clip.count), name)
    found = clip_faces.described(clip, tracks)
    if found:
        with atomic_write(sheet, replace=replace) as (part,):
            clip_faces.save_sheet(clip_faces.sheet(clip, tracks), part)
    listed = [
        {
            **face.model_dump(mode="json", include={"number", "shown", "carried", "pixels"}),
            "protectable": not face.left,
        }
        for face in found
    ]
    said = {**named(name, path), **exit_words()}
    terminal.object(**said, faces=listed, sheet=printable(sheet) if found else None)
    if not found:
        terminal.note(f"No face was found in {name}.")
        return
    terminal.table(clip_words.PEOPLE_COLUMNS, clip_words.people_rows(found))
    for sentence in clip_words.unprotected(found):
        terminal.say(sentence)
    terminal.path(sheet)

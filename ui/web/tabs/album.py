"""The tab Album: many photos and clips in, one zip out; what fails stops nothing, what is done stays done."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from ....attacks.person import Person
from ....core.files import atomic_write
from ....core.images import open_photo
from ....core.types import Stage, Step, Steps
from ....core.video import open_clip
from ....privacy.settings import CLIP_DESCRIPTIONS
from ... import album_links, clip_words
from ...albums import Album
from ...earlier import reopen
from ...face_words import unprotected
from ...limits import LIMITS_OF
from ...pipes import is_clip, kind_of
from ...selection import Whom
from ...wording import headline
from ...workflow import person_of
from .. import album_html, html
from ..links import of_album
from ..page import OF_CLIP, SHARES, Page, known
from ..pictures import small_copy
from ..results import Wish, around_faces, beside, protect, protect_clip, still, wish
from ..sessions import Stopped, Visitor
from ..uploads import admit_album, admit_references, arrive, arrived_clip, refusals
from .parts import (
    AT_ONCE,
    efforts,
    getting_ready,
    limits,
    own,
    run_in_line,
    strengths,
    tell_at_once,
    telling,
    wait_for,
    whom,
)

Update = dict[Any, Any]
File = tuple[str, Path]  # a name, and where it lies
Row = tuple[str, ...]  # of a file: kind, name, outcome, and, once it is done, HTML that shows it


@dataclass
class Held:
    """The photos and clips by their paths with a row of each, and the files of those that are done.

    zip: the place for a file of all results; places: the folders in which work on clips goes on.
    """

    asked: Wish | None = None
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    results: dict[str, tuple[Path, Path]] = field(default_factory=dict[str, tuple[Path, Path]])
    zip: Path | None = None
    places: dict[str, Path] = field(default_factory=dict[str, Path])

    @property
    def count(self) -> int:
        """How many photos and clips are done."""
        return len(self.results)

    def shown(self, shown: Album | None = None) -> Steps[Album]:
        """What those that are done show of whom, added to what is known; of it nothing is kept from one run
        to the next."""
        shown = shown or Album()
        for done, (source, files) in enumerate(self.results.items()):
            yield Step(Stage.EMBEDDING, done, self.count)
            reopen(shown, Path(source), *files)
        return shown

    def place_for(self, path: str, visitor: Visitor) -> Path:
        """The folder for the result of a clip: where it was begun, if that is still there."""
        if path not in self.places or not self.places[path].is_dir():
            self.places[path] = visitor.path_for("any").parent
        return self.places[path]

    def pack(self) -> None:
        """Put all results into the zip, whole or not at all; those of the same name get a number."""
        assert self.zip
        with atomic_write(self.zip, replace=True) as (part,), zipfile.ZipFile(part, "w") as archive:
            for picture, record in self.results.values():
                taken, stem = set(archive.namelist()), picture.name.partition(".veiled")[0]
                name, number = stem, 1
                while f"{name}.veiled{record.suffix}" in taken:
                    number += 1
                    name = f"{stem}-{number}"
                for file in (picture, record):
                    archive.write(file, f"{name}.veiled{file.suffix}")


def tab(page: Page) -> None:
    """Fill the tab."""
    gr.HTML(
        "<div class='veil-step'><h2>Many photos and clips, one download</h2></div><p class='veil-note'>Every "
        "face that is large enough is protected, or one person's alone; a clip takes some minutes. One that "
        "fails does not stop the others; after a stop, or when you add some, only what is missing is done. "
        "The rows say what recognisers make of each, and show it before and after: whether people still see "
        "the same person, judge yourself; a click shows it whole.</p>"
    )
    album = gr.State(Held())
    photos = gr.File(label="Photos and clips", file_count="multiple", height=180, elem_id="veil-album")
    limits(page)
    trouble = tell_at_once(page, photos)
    only = whom("veil-album-only")
    strength, effort = strengths(), efforts("On two idle cores; a clip takes longer, as the tab Clip says")
    in_clips = gr.HTML(elem_classes="veil-hollow")
    apart = gr.Checkbox(
        True,
        label="Keep them apart: a machine should not link those of one person with one another",
        elem_id="veil-album-apart",
    )
    with gr.Row():
        start = gr.Button(
            "Protect the album", variant="primary", interactive=False, elem_id="veil-album-start"
        )
        stop = gr.Button("Stop", interactive=False, elem_id="veil-album-stop")
    panel, download = gr.HTML(elem_classes="veil-hollow"), gr.HTML(elem_classes="veil-hollow")
    table = gr.HTML(elem_id="veil-album-rows", elem_classes="veil-hollow")
    links = gr.HTML(elem_id="veil-album-links", elem_classes="veil-hollow")
    promise = gr.HTML(html.limits())

    def came(paths: list[str] | None) -> Update:
        kind = what(paths or ())
        less = ["In clips the strengths do less."]
        less += [f"{name.capitalize()}: {text}" for name, text in CLIP_DESCRIPTIONS.items()]
        return {
            in_clips: "" if kind == "photo" else "".join(map(html.note, less)),
            promise: html.limits(LIMITS_OF[kind]),
        }

    def begin() -> Update:  # what is wrong with a file is told in its row
        return {**getting_ready(panel, start, stop), trouble: "", download: "", links: ""}

    @telling(panel)
    def run(
        held: Held,
        paths: list[str] | None,
        only: str | None,
        strength: str,
        effort: str,
        apart: bool,
        request: gr.Request,
    ) -> Iterator[Update]:
        visitor = page.visitors.of(request.session_hash, [*(paths or ()), *filter(None, (only,))])
        asked = wish(strength, effort, only=only, apart=apart)
        admit_album(page, paths or [])
        held = continued(page, held, visitor, paths or [], asked)
        admit_references(page, asked.me, only)
        person = person_of([asked.only]) if asked.only else None
        learning = known_before(held, asked)
        shown = yield from page.watch(visitor, learning, lambda html: {panel: html})
        for number, path in enumerate(paths or (), 1):
            if held.rows[path][0] != "waiting":
                continue
            held.rows[path] = ("running", Path(path).name, "being protected")
            yield {album: held, table: album_html.outcomes([*held.rows.values()])}
            work = each(page, path, asked, person, visitor, held, shown)
            try:
                prefix = f"{number} of {len(paths or ())}, {Path(path).name}. "
                shares = OF_CLIP if is_clip(Path(path)) else SHARES
                yield from page.watch(visitor, work, lambda html: {panel: html}, prefix, shares)
            except Stopped:
                break
            except Exception as error:
                problem = known(error)
                held.rows[path] = ("failed", Path(path).name, f"{problem.message} {problem.hint}")
        else:
            try:
                work = linked(held, asked, shown)
                said = yield from page.watch(visitor, work, lambda html: {panel: html}, "Album. ")
            except Stopped:
                said = ""
            except Exception as error:
                said = html.problem(known(error))
            yield {links: said}
        yield ended(held)

    def ended(held: Held) -> Update:
        for path, (kind, name, *_) in held.rows.items():
            if kind == "running":
                held.rows[path] = ("waiting", name, "not done yet")
        files = list[File]()
        said = html.note(so_many(held.rows))
        if held.zip and held.count:
            try:
                held.pack()
                files.append((f"Download the zip ({held.count} {what(held.results, held.count)})", held.zip))
            except Exception as error:
                said = html.problem(known(error)) + said
        missing = sum(row[0] == "waiting" for row in held.rows.values())
        return {
            album: held,
            panel: said,
            table: album_html.outcomes([*held.rows.values()]),
            start: gr.Button("Continue" if missing else "Protect the album"),
            download: html.downloads(files) if files else "",
        }

    own(page, only)
    photos.change(came, photos, [in_clips, promise], **AT_ONCE)
    wait_for(page, [photos], start)
    started = start.click(begin, None, [panel, start, stop, trouble, download, links], **AT_ONCE)
    run_in_line(
        page,
        started,
        run,
        [album, photos, only, strength, effort, apart],
        [album, panel, table, start, download, links],
        (panel, start, stop),
        [photos],
    )


def so_many(rows: Mapping[str, Row]) -> str:
    """How many of the files that can be used are protected, and how many cannot be."""
    use = [path for path, row in rows.items() if row[0] != "refused"]
    done, refused = sum(rows[path][0] == "done" for path in use), len(rows) - len(use)
    said = [f"{done} of {len(use)} {what(use or rows, 2)} are protected."]
    if refused:
        said.append(f"{refused} {'files' if refused > 1 else 'file'} cannot be used.")
    return " ".join(said)


def continued(page: Page, held: Held, visitor: Visitor, paths: list[str], asked: Wish) -> Held:
    """The album with these photos and clips: what was done as it is asked for now stays done, unless some of
    it was taken away, and what cannot be used, as far as it can be told before the work, is refused.

    Raises:
        BadPhoto: there are none, or too many.
    """
    page.rules.admit_album(paths)
    here = all(file.exists() for files in held.results.values() for file in files)  # they are deleted in time
    same = here and asked == held.asked and set(held.results) <= set(paths)
    old = held if same else Held(asked)
    rows = {path: _not_yet(page, path) for path in paths if path not in old.results}
    kept = {path: old.rows[path] for path in old.results}
    rows = {path: (rows | kept)[path] for path in paths}
    return Held(asked, rows, old.results, old.zip or visitor.path_for("veiled.zip"), old.places)


def _not_yet(page: Page, path: str) -> Row:
    """What there is to say of a file before its turn comes."""
    said = [f"{problem.message} {problem.hint}" for problem in refusals(page, [path])]
    return ("refused" if said else "waiting"), Path(path).name, " ".join(said) or "not done yet"


def what(paths: Iterable[str], count: int = 1) -> str:
    """What to call so many of several files."""
    return kind_of(map(Path, paths)) + "s" * (count > 1)


def known_before(held: Held, asked: Wish) -> Steps[Album | None]:
    """What is known before the first is protected: of an album that is kept apart, what those that are done
    show.

    Raises:
        BadPhoto, NoFace: as `results.beside`.
    """
    album = yield from beside(asked)
    return (yield from held.shown(album)) if album and album.apart else album


def linked(held: Held, asked: Wish, shown: Album | None) -> Steps[str]:
    """What of an album can be linked still, as it is protected, in HTML; nothing where it is not kept
    apart."""
    if not shown or not shown.members:
        return ""
    found = yield from album_links.links(shown.members, asked.settings.surrogates)
    return of_album(found, what(held.results))


def each(
    page: Page,
    path: str,
    asked: Wish,
    person: Person | None,
    visitor: Visitor,
    held: Held,
    shown: Album | None = None,
) -> Steps[None]:
    """Protect one photo or clip of the album."""
    if is_clip(Path(path)):
        clip, place = arrived_clip(page, path), held.place_for(path, visitor)
        done = yield from protect_clip(clip, asked, Whom(person=person), place, album=shown)
        held.results[path] = done.after, done.record
        faces, notes = done.said.faces, (*done.said.ignored, *done.said.notes)
        said = (*clip_words.unprotected(faces), *notes, clip_words.headline(done.said))
        small = (still(one, faces, visitor) for one in (clip, open_clip(done.after)))
        shown_small = album_html.pair(small, (clip.path, done.after), clip.name)
        held.rows[path] = ("done", clip.name, " ".join(said), shown_small)
        return
    arrival = arrive(page, visitor, path)
    outcome = yield from protect(
        arrival.path, arrival.picked, asked, visitor, endure=False, person=person, album=shown
    )
    held.results[path] = outcome.after, outcome.record
    left = unprotected(
        outcome.report.unprotected, way="protect the photo in the tab Protect, and click it there"
    )
    said = (*left, *outcome.notes, headline(outcome.report))
    whole, part = (outcome.before, outcome.shown), around_faces(outcome.report)
    small = (small_copy(open_photo(one), part, visitor.path_for("face.jpg")) for one in whole)
    held.rows[path] = ("done", arrival.name, " ".join(said), album_html.pair(small, whole, arrival.name))

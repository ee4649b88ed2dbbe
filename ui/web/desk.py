"""What lies before a visitor on the tab Protect: the photos that arrived, and what of them is done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ...core.errors import VeilError
from ...core.files import some
from ...eval.datasets import checksum
from .page import Page, known
from .results import Outcome, Wish
from .sessions import Visitor
from .uploads import Arrival, arrive, name_of

DONE = "Done. All metadata (place, camera, time) is gone from the result."
STOPPED = "Stopped. What was not finished was thrown away."


@dataclass
class Desk:
    """The photos in the order in which they came, and the outcomes of those that are done.

    asked: how they were asked for. done: the faces that were picked, and the outcome, by the path of the
    upload. job: the uploads of which one has to stay here, or the job that waits or runs is for nothing.
    """

    arrivals: list[Arrival] = field(default_factory=list[Arrival])
    asked: Wish | None = None
    done: dict[str, tuple[list[int], Outcome]] = field(default_factory=dict[str, tuple[list[int], Outcome]])
    job: frozenset[str] = frozenset()

    @property
    def todo(self) -> list[Arrival]:
        """The photos of which a face is picked."""
        return [arrival for arrival in self.arrivals if arrival.picked]

    @property
    def missing(self) -> list[Arrival]:
        """Those of them that are not done."""
        return [arrival for arrival in self.todo if arrival.upload not in self.done]

    @property
    def outcomes(self) -> list[Outcome]:
        """The outcomes of the others."""
        return [self.done[arrival.upload][1] for arrival in self.todo if arrival.upload in self.done]

    def lay(self, page: Page, visitor: Visitor, paths: Iterable[str]) -> tuple[list[VeilError], list[str]]:
        """Let these photos lie here and no others; of those that lie here already, nothing is changed.

        Returns what is wrong with some of them, and a sentence for each that is here already.
        """
        here = {arrival.upload: arrival for arrival in self.arrivals}
        arrivals, problems = list[Arrival](), list[VeilError]()
        names, twice = dict[str, str](), list[str]()
        for path in paths:
            try:
                page.rules.admit(path)
                name, content = name_of(path), checksum(Path(path))
                if content in names:
                    same = "is there twice" if name == names[content] else f"is the same as {names[content]}"
                    twice.append(f"{name} {same}: one of them is enough.")
                    continue
                names[content] = name
                arrivals.append(here.get(path) or arrive(page, visitor, path))
            except Exception as error:
                problems.append(known(error))
        self.arrivals = arrivals
        return problems, twice

    def begin(self, asked: Wish) -> list[Arrival]:
        """The photos that are to be protected: what was done in just this way, and is still there, stays."""
        picked = {arrival.upload: arrival.picked for arrival in self.todo}
        self.done = {
            upload: (faces, outcome)
            for upload, (faces, outcome) in self.done.items()
            if asked == self.asked and picked.get(upload) == faces and outcome.there
        }
        self.asked = asked
        return self.missing

    def begin_with(self, arrival: Arrival) -> bool:
        """Whether a photo lies here still, with a face picked; then the job is for it alone from now on."""
        if here := any(one is arrival for one in self.todo):
            self.job = frozenset([arrival.upload])
        return here

    def ended(self, stopped: bool, failed: bool) -> str:
        """What to say when a job has ended; nothing where what failed says it."""
        missing, count, total = self.missing, len(self.outcomes), len(self.todo)
        if count and not missing:
            return DONE
        if not count:
            return "" if failed else STOPPED
        names = some([arrival.name for arrival in missing])
        said = f"{count} of {total} photos are protected; not yet: {names}."
        return f"Stopped. {said} Press Continue, and it goes on from there." if stopped else said

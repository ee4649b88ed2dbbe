"""A registry: names of plug-ins, which are imported only when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from typing import Generic, TypeVar, cast

from .errors import UnknownName

T = TypeVar("T")


def unknown(kind: str, name: str, names: Iterable[str]) -> UnknownName:
    """The error for a name that is not among `names`; its hint gives the closest, or all of them."""
    known = list(names)
    close = get_close_matches(name, known, 1)
    hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(known)}."
    return UnknownName(f"There is no {kind} called {name!r}.", hint)


class Registry(Generic[T]):
    """Maps a name to "module:attribute"; listing the names imports nothing.

    An entry "name:" is a family: it is asked for as "name" or "name:model", and the model ("" where none was
    named) is bound as first argument of its callable.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._given = dict(entries)
        self._entries = {name.removesuffix(":"): place for name, place in entries.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries or (isinstance(name, str) and self._family(name) in self._given)

    def __len__(self) -> int:
        return len(self._entries)

    def __or__(self, other: Registry[T]) -> Registry[T]:
        """Both registries' entries, as one."""
        return Registry(self.kind, self._given | other._given)

    def check(self, name: str) -> str:
        """Return `name` if it is known.

        Raises:
            UnknownName: it is not; the hint names the closest or all names.
        """
        if name not in self:
            raise unknown(self.kind, name, self._entries)
        return name

    def __getitem__(self, name: str) -> T:
        """Import and return what `name` stands for.

        Raises:
            UnknownName: no such name.
        """
        family, _, model = self.check(name).partition(":")
        module, _, attribute = self._entries[family].partition(":")
        found = getattr(import_module(module), attribute)
        return cast(T, partial(found, model) if self._family(name) in self._given else found)

    @staticmethod
    def _family(name: str) -> str:
        """The entry to which a name belongs if that is a family's."""
        return name.partition(":")[0] + ":"

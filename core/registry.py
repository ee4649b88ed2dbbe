"""A registry: names that stand for things which are imported only when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Generic, TypeVar, cast

from .errors import UnknownName

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps a name to "module:attribute"; listing the names imports nothing."""

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __or__(self, other: Registry[T]) -> Registry[T]:
        """Both registries' entries, as one."""
        return Registry(self.kind, self._entries | other._entries)

    def check(self, name: str) -> str:
        """Return `name` if it is known.

        Raises:
            UnknownName: it is not; the hint names the closest or all names.
        """
        if name not in self._entries:
            close = get_close_matches(name, self._entries, 1)
            hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(self._entries)}."
            raise UnknownName(f"There is no {self.kind} called {name!r}.", hint)
        return name

    def __getitem__(self, name: str) -> T:
        """Import and return what `name` stands for.

        Raises:
            UnknownName: no such name.
        """
        module, _, attribute = self._entries[self.check(name)].partition(":")
        return cast(T, getattr(import_module(module), attribute))

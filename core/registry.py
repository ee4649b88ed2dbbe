"""A registry: names of plug-ins, which are imported only when they are asked for."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

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
        return name in self._entries or (isinstance(name, str) and self.is_family(name))

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
        found: Any = self.entry(name)
        return cast(T, partial(found, name.partition(":")[2]) if self.is_family(name) else found)

    def entry(self, name: str) -> T:
        """The same as its file has it: of a family without a model.

        Raises:
            UnknownName: no such name.
        """
        module, attribute = self._place(name)
        return cast(T, getattr(import_module(module), attribute))

    def about(self, name: str) -> str:
        """What `name` stands for, in a sentence: the first line of its file, and its own where the file holds
        several. They are read, not imported.

        Raises:
            UnknownName: no such name.
        """
        module, attribute = self._place(name)
        spec = find_spec(module)
        assert spec, f"there is no module {module}"
        assert spec.origin
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        told: list[ast.Module | ast.FunctionDef] = [tree]
        if sum(place.startswith(f"{module}:") for place in self._entries.values()) > 1:
            told += [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == attribute]
        return " ".join((ast.get_docstring(one) or "").partition("\n")[0] for one in told).strip()

    def is_family(self, name: str) -> bool:
        """Whether `name` is a family's, or that of a model of one."""
        return name.partition(":")[0] + ":" in self._given

    def _place(self, name: str) -> tuple[str, str]:
        """The module and the attribute in which `name` lies."""
        family = self.check(name).partition(":")[0]
        module, _, attribute = self._entries[family].partition(":")
        return module, attribute

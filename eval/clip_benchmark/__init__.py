"""A benchmark of clips: clips x methods x encodings x recognisers, from one declarative file to tables.

Of each clip a part is protected by every method, with one recogniser left out of the surrogates, encoded
again as files and platforms do it, and judged: by recognisers, by its looks, by what is still expressed.

spec: what a file says; part: of a clip, and what is known of it before; judge: one task; tables: rows and
what they come to; runner: all of it.
"""

from .runner import run
from .spec import ClipSpec, is_of_clips, read

__all__ = ["ClipSpec", "is_of_clips", "read", "run"]

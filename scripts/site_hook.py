"""For mkdocs: the repository's other documents become pages, and links between all of them keep working.

In the repository docs/results.md links to ../benchmarks/ideas.md; on the site, whose root is docs/, the same
page is benchmarks/ideas.md. A link to a file that is no page, such as a script, becomes its name.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PATTERNS = (
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/**/*.md",
    "benchmarks/**/*.png",
)
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:)([^)\s#]+)(#[^)]*)?\)")
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside of docs/."""
    for path in sorted(one for pattern in PATTERNS for one in ROOT.glob(pattern)):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages."""
    here = PurePosixPath(page.file.src_uri)
    inside = (ROOT / "docs" / here).is_file()  # else it lies where its name says, from the repository's root
    folder = (PurePosixPath("docs") / here if inside else here).parent

    def turned(found: re.Match[str]) -> str:
        picture, words, link, anchor = found.groups(default="")
        target = os.path.normpath(folder / link).removeprefix("docs/")
        if files.get_file_from_path(target) is None:
            return words if words.startswith("`") else f"`{words}`"
        return f"{picture}[{words}]({os.path.relpath(target, here.parent)}{anchor})"

    parts = CODE.split(markdown)  # every second one is code
    return "".join(part if n % 2 else LINK.sub(turned, part) for n, part in enumerate(parts))

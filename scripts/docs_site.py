"""What mkdocs needs beyond the pages in docs/: the navigation, the README, and the code's reference.

The navigation is `docs/index.md` (a section for each heading, a page for each link), so that there is one
map. README, CONTRIBUTING, CHANGELOG and LICENSE join as pages of their own; links to other files of the
repository, which the site does not have, become plain text. The reference has one page for each package,
with every module of it, read from docstrings without importing anything.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
ROOT_PAGES = {
    "README.md": "overview.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "license.md",
}
REFERENCE = "api"
LAYERS = (
    *("core", "broker", "data", "features", "environments", "models", "inference"),
    *("training", "validation", "live", "ops", "cli"),
)
_HEADING = re.compile(r"^## (.+)$")
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
_LINK_OR_PICTURE = re.compile(r"(!?)\[([^\]]+)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def packages() -> list[str]:
    """Every package of the product, subpackages included, dotted, in the order of the layers."""
    found = [
        ".".join(directory.relative_to(ROOT).parts)
        for layer in LAYERS
        for top in [ROOT / f"swt_{layer}"]
        for directory in [top, *sorted(path for path in top.rglob("*") if path.is_dir())]
        if any(directory.glob("*.py"))
    ]
    return [*found, "benchmarks"]


def modules(package: str) -> list[str]:
    """The public modules of a package, dotted."""
    directory = ROOT.joinpath(*package.split("."))
    return [
        f"{package}.{path.stem}" for path in sorted(directory.glob("*.py")) if not path.stem.startswith("_")
    ]


def reference_page(package: str) -> str:
    """Markdown of a package's page of the reference: what it is, then each module."""
    parts = [f"# {package}\n"]
    if (ROOT.joinpath(*package.split(".")) / "__init__.py").exists():
        parts.append(f"::: {package}\n    options:\n      show_root_heading: false\n")
    parts += [f"::: {module}\n" for module in modules(package)]
    return "\n".join(parts)


def reference_index() -> str:
    """Markdown of the reference's first page."""
    lines = [f"- [{package}]({package}.md)" for package in packages()]
    return "# Reference of the code\n\nFrom the docstrings, lowest layer first.\n\n" + "\n".join(lines) + "\n"


def navigation(index: str) -> list[Any]:
    """mkdocs' nav of the links in `docs/index.md`, one section for each of its headings."""
    sections: list[tuple[str, list[dict[str, str]]]] = []
    seen = {"index.md"}
    for line in index.splitlines():
        if heading := _HEADING.match(line):
            sections.append((heading[1], []))
        for title, target in _LINK.findall(line):
            page = site_path("index.md", target.partition("#")[0])
            if sections and page is not None and page not in seen and page.endswith(".md"):
                seen.add(page)
                sections[-1][1].append({title[:1].upper() + title[1:]: page})
    code = [f"{REFERENCE}/index.md", *({package: f"{REFERENCE}/{package}.md"} for package in packages())]
    return [
        {"Documentation": "index.md"},
        *({name: pages} for name, pages in sections if pages),
        {"Code": code},
    ]


def repository_path(page: str, target: str) -> str:
    """What a page's relative link means in the repository."""
    source = {site: f"../{name}" for name, site in ROOT_PAGES.items()}.get(page, page)
    return posixpath.normpath(posixpath.join("docs", posixpath.dirname(source), target))


def in_repository(page: str, target: str) -> bool:
    return (ROOT / repository_path(page, target)).exists()


def site_path(page: str, target: str) -> str | None:
    """Where a page's relative link leads within the site; None when the site does not have it."""
    if not target:
        return page
    path = repository_path(page, target)
    if path in ROOT_PAGES:
        return ROOT_PAGES[path]
    if path.startswith("docs/") and (ROOT / path).is_file():
        return path.removeprefix("docs/")
    return path.removeprefix("docs/") if path.startswith(f"docs/{REFERENCE}/") else None


def site_markdown(text: str, page: str) -> str:
    """A page's text with its links and pictures as the site has them."""

    def link(match: re.Match[str]) -> str:
        (mark, title), (target, hash_, anchor) = match.group(1, 2), match[3].partition("#")
        if "://" in match[3] or match[3].startswith("mailto:"):
            return match[0]
        found = site_path(page, target)
        if found is None:  # elsewhere in the repository; what is nowhere stays a link, for mkdocs to find
            return title if in_repository(page, target) else match[0]
        relative = posixpath.relpath(found, posixpath.dirname(page) or ".")
        return f"{mark}[{title}]({relative if target else ''}{hash_}{anchor})"

    pieces, end = [], 0
    for fence in _FENCE.finditer(text):
        pieces += [_LINK_OR_PICTURE.sub(link, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*pieces, _LINK_OR_PICTURE.sub(link, text[end:])])


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.nav = navigation((Path(config.docs_dir) / "index.md").read_text())
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    from mkdocs.structure.files import File

    pages = {site: (ROOT / name).read_text() for name, site in ROOT_PAGES.items()}
    pages |= {f"{REFERENCE}/{package}.md": reference_page(package) for package in packages()}
    pages[f"{REFERENCE}/index.md"] = reference_index()
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    if page.file.src_uri.startswith(f"{REFERENCE}/"):
        return markdown
    return site_markdown(markdown, page.file.src_uri)

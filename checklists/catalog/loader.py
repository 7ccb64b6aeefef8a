"""A checklist file in YAML: read, and refused with every problem at once, each with its line."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from checklists.catalog import schema
from checklists.journal.errors import Invalid

BUNDLED = Path(__file__).parent / "data" / "genai-readiness-0.1.yaml"


def load(path: Path = BUNDLED) -> dict[str, Any]:
    """The content of a checklist file in its canonical form. Raises ``Invalid`` that names file and lines."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path.name} cannot be read: {error}") from error
    return parse(text, name=path.name)


@lru_cache(maxsize=4)  # a second of work for the bundled file, asked for again by whoever starts from an empty database
def parse(text: str, *, name: str) -> dict[str, Any]:
    """As ``load``, from text; ``name`` is what messages call the file. The result is shared: only read it."""
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise _invalid(name, [(line, f"not valid YAML: {getattr(error, 'problem', None) or error}")]) from error
    if root is None:
        raise _invalid(name, [(1, "the file is empty")])
    reader = _Reader()
    data = reader.read(root, ())
    checker = schema.Checker()
    content = checker.checklist(data)
    problems = reader.problems + [(reader.line_of(problem.path), problem.text) for problem in checker.problems]
    if problems:
        raise _invalid(name, problems)
    return content


def _invalid(name: str, problems: list[tuple[int, str]]) -> Invalid:
    lines = [f"line {line}: {text}" for line, text in sorted(problems, key=lambda problem: problem[0])]
    return Invalid("\n".join([f"{name} was not loaded. Nothing was changed.", *lines]), errors={name: lines})


class _Reader:
    """Turns YAML's nodes into plain values and keeps, for each path, the line it stands on."""

    def __init__(self) -> None:
        self.lines: dict[schema.Path, int] = {}
        self.problems: list[tuple[int, str]] = []

    def line_of(self, path: schema.Path) -> int:
        """The line of a path, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def read(self, node: Node, path: schema.Path) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if isinstance(node, ScalarNode):
            return self.scalar(node, line)
        if not isinstance(node, MappingNode):
            return [self.read(child, (*path, n)) for n, child in enumerate(node.value)]
        result: dict[str, Any] = {}
        for key_node, child in node.value:
            key = str(key_node.value)  # 1 and "1" are the same name
            here = (*path, key)
            if key in result:
                self.problems.append((key_node.start_mark.line + 1, f"{key} stands here a second time"))
            self.lines[here] = key_node.start_mark.line + 1
            result[key] = self.read(child, here)
        return result

    def scalar(self, node: ScalarNode, line: int) -> Any:
        kind = str(node.tag).rpartition(":")[2]
        text: str = node.value
        if kind == "str":
            return text
        if kind == "bool":
            return text.lower() == "true"
        if kind == "null":
            return None
        try:
            return int(text) if kind == "int" else float(text)
        except ValueError:
            self.problems.append((line, f"{text} must stand in quotes"))
            return text

"""
Check the English of pages, docstrings, comments, messages and templates against the rules in prose.yaml.

`python tools/prose.py [PATH...]`: files or folders, by default everything that people read. Each hit is one line on
stdout: file, line, column, what was found, what to write instead. Exit 1 if there was any. `--count` prints only the
number of hits per folder.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
RULES = Path(__file__).with_suffix(".yaml")
CHECKED = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "action.yml",
    ".github",
    "docs",
    "policy_engine",
    "reports",
    "rules",
    "schemas",
)
MASK = "\0"  # in place of each character that is not prose, so that positions stay and no rule matches across it

_MARKDOWN_CODE = re.compile(
    r"^(?P<fence>```+)[^\n]*\n.*?^(?P=fence)[ ]*$|<!--.*?-->|`[^`\n]+`|\]\([^)\n]*\)|\|", re.MULTILINE | re.DOTALL
)
_TEMPLATE_CODE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|<[^<>]*>", re.DOTALL)
_INLINE_CODE = re.compile(r"`[^`\n]+`")
_PLACEHOLDER = re.compile(r"\{[^{}\n]*\}")
_STRING = re.compile(r"(?P<prefix>\w*)(?P<quote>'''|\"\"\"|'|\")(?P<body>.*)(?P=quote)", re.DOTALL)


@dataclass(frozen=True)
class Rule:
    """A pattern that plain English does without."""

    id: str
    find: str
    """Regular expression; a blank stands for any white space, a line end included. Case makes no difference."""
    write: str
    """What to write instead."""
    bad: tuple[str, ...]
    """Sentences that the rule finds something in."""
    good: tuple[str, ...]
    """Sentences that it accepts."""


@dataclass(frozen=True)
class Hit:
    """A place in a file where a rule found something."""

    path: Path
    line: int
    column: int
    found: str
    rule: Rule

    def __str__(self) -> str:
        """As a line for people and editors."""
        return f"{self.path}:{self.line}:{self.column}: [{self.rule.id}] `{self.found}`: {self.rule.write}"


def load_rules(path: Path = RULES) -> tuple[Rule, ...]:
    """Read the rules."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tuple(Rule(**{**entry, "bad": tuple(entry["bad"]), "good": tuple(entry["good"])}) for entry in entries)


# --- the prose of a file, everything else masked ------------------------------------------------------------------


def _masked(text: str) -> str:
    return re.sub(r"[^\n]", MASK, text)


def _without(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda match: _masked(match[0]), text)


def markdown(text: str) -> str:
    """A page without code, comments and link targets."""
    return _without(_MARKDOWN_CODE, text)


def template(text: str) -> str:
    """A template without tags and expressions."""
    return _without(_TEMPLATE_CODE, text)


def plain(text: str) -> str:
    """A file in which everything may be prose."""
    return _without(_INLINE_CODE, text)


def python(text: str) -> str:
    """The docstrings, comments and string literals of a module; literals that are joined stay joined."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    prose = list(_masked(text))
    previous = ""  # kind of the prose token before, if nothing but white space is between
    end_of_previous = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        start, end = (starts[row - 1] + column for row, column in (token.start, token.end))
        kind = "comment" if token.type == tokenize.COMMENT else _string_kind(token)
        if kind:
            if kind == previous:
                prose[end_of_previous:start] = re.sub(r"[^\n]", " ", text[end_of_previous:start])
            prose[start:end] = _comment(token.string) if kind == "comment" else _literal(token.string)
            previous, end_of_previous = kind, end
        elif token.type not in (tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
            previous = ""
    return "".join(prose)


def _string_kind(token: tokenize.TokenInfo) -> str:
    name = tokenize.tok_name[token.type]
    return "string" if name == "STRING" or name.startswith("FSTRING") else ""  # parts of f-strings since Python 3.12


def _comment(text: str) -> str:
    return " " + _without(_INLINE_CODE, text[1:])


def _literal(text: str) -> str:
    match = _STRING.fullmatch(text)
    prefix, body = (match["prefix"], match["body"]) if match else ("f", text)
    body = _without(_INLINE_CODE, body)
    if "f" in prefix.lower():
        body = _without(_PLACEHOLDER, body)
    before = match.start("body") if match else 0
    return " " * before + body + " " * (len(text) - before - len(body))


READERS: dict[str, Callable[[str], str]] = {
    ".md": markdown,
    ".py": python,
    ".j2": template,
    ".js": plain,
    ".json": plain,
    ".toml": plain,
    ".yaml": plain,
    ".yml": plain,
}


# --- the check ----------------------------------------------------------------------------------------------------


def joined(prose: str) -> tuple[str, list[int]]:
    """The text with each run of white space as one blank, and a blank line as a line end; with the positions."""
    pieces, positions = [], []
    for match in re.finditer(r"\s+|\S", prose):
        pieces.append(match[0] if not match[0].isspace() else "\n" if match[0].count("\n") > 1 else " ")
        positions.append(match.start())
    return "".join(pieces), positions


def check_text(text: str, suffix: str, rules: Iterable[Rule], path: Path) -> list[Hit]:
    """Every hit in a text, in its order."""
    prose, positions = joined(READERS[suffix](text))
    hits = []
    for rule in rules:
        for match in re.finditer(rule.find, prose, re.IGNORECASE):
            start = positions[match.start()]
            line = text.count("\n", 0, start) + 1
            hits.append(Hit(path, line, start - text.rfind("\n", 0, start), match[0].strip(), rule))
    return sorted(hits, key=lambda hit: (hit.line, hit.column))


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files to check: those that are named, and those of a kind that can be read below a folder."""
    for path in paths:
        if path.is_dir():
            below = (file for file in sorted(path.rglob("*")) if file.suffix in READERS)
            yield from (file for file in below if "vendor" not in file.parts)
        else:
            yield path


def main(arguments: list[str] | None = None) -> int:
    """Check the files that are named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="file or folder; default: all prose")
    parser.add_argument("--count", action="store_true", help="print the number of hits per folder")
    given = parser.parse_args(arguments)
    rules = load_rules()
    hits: list[Hit] = []
    for path in files(given.paths or [ROOT / name for name in CHECKED]):
        shown = path.resolve().relative_to(ROOT) if path.resolve().is_relative_to(ROOT) else path
        if path.suffix not in READERS:
            parser.error(f"{shown}: cannot read files of this kind; known: {' '.join(READERS)}")
        hits += check_text(path.read_text(encoding="utf-8"), path.suffix, rules, shown)
    if given.count:
        counts = Counter("/".join(hit.path.parts[:2]) for hit in hits)
        print("\n".join(f"{number:5} {name}" for name, number in sorted(counts.items())))
    else:
        print("".join(f"{hit}\n" for hit in hits), end="")
    if hits:
        print(f"prose: {len(hits)} hits; the rules are in tools/prose.yaml", file=sys.stderr)
    return 1 if hits else 0


if __name__ == "__main__":
    sys.exit(main())

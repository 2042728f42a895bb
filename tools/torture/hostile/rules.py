"""Hostile rule files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tools.torture.hostile.cases import DONE, MINIMAL, RULES, case, repeated


def _pack(folder: Path) -> Path:
    pack = folder / "pack"
    shutil.copytree(MINIMAL, pack)
    return pack


def _yaml(name: str, content: Callable[[int], bytes], says: str = "", file: str = "rules/film-clean.yaml") -> None:
    def arguments(folder: Path, scale: int) -> list[str]:
        pack = _pack(folder)
        (pack / file).write_bytes(content(scale))
        return ["check", str(pack)]

    case(f"yaml-{name}", arguments, RULES, says)


_yaml("deep-lists", repeated(b"[", 100_000), "too-deep")
_yaml("deep-maps", repeated(b"{a: ", 100_000), "too-deep")
_yaml("deep-dashes", repeated(b"- ", 100_000), "too-deep")
_yaml("deep-questions", repeated(b"? ", 100_000), "")
_yaml("deep-blocks", lambda _: b"".join(b" " * n + b"a:\n" for n in range(2_500)), "too-deep")
_yaml("deep-below-a-dropped-key", lambda _: b"a: 1\na: " + b"[" * 100_000, "too-deep")
_yaml(
    "alias-bomb",
    lambda _: b"a: &a [x, x]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (n + 1, n + 1, n, n) for n in range(97, 121)),
    "yaml-anchor",
)
_yaml("merge-key-bomb", lambda _: b"a: &a {x: 1}\nb: {<<: [*a, *a]}\n", "yaml-anchor")
_yaml("merge-keys", repeated(b"<<: {x: 1}\n", 100_000), "duplicate-key")
_yaml("tag-that-runs-code", lambda _: b'id: !!python/object/apply:os.system ["true"]\n', "yaml-tag")
_yaml("tag-binary", lambda _: b"id: !!binary aGVsbG8=\n", "yaml-tag")
_yaml("huge-scalar", repeated(b"x", 3_900_000, b"id: "), "")
_yaml("huge-quoted", repeated(b"\\n", 1_900_000, b'id: "', b'"'), "")
_yaml("huge-block-scalar", repeated(b" x\n", 1_300_000, b"id: |\n"), "")
_yaml("huge-key", repeated(b"x", 3_900_000, b"", b": 1"), "")
_yaml("larger-than-allowed", repeated(b"# x\n", 1_100_000), "file-too-large")
_yaml("comments-only", repeated(b"# x\n", 900_000), "empty-file")
_yaml("blank-lines", repeated(b"\n", 3_900_000), "empty-file")
_yaml("never-closed", repeated(b"x\n", 1_900_000, b'id: "'), "yaml-syntax")
_yaml("utf-16", lambda _: "id: x\n".encode("utf-16"), "not-utf8")
_yaml("utf-16-without-mark", lambda _: "id: x\n".encode("utf-16-le"), "forbidden-character")
_yaml("utf-32", lambda _: "id: x\n".encode("utf-32"), "not-utf8")
_yaml("latin-1", lambda _: "id: ü\n".encode("latin-1"), "not-utf8")
_yaml("null-byte", lambda _: b"id: a\0b\n", "forbidden-character")
_yaml("mark-in-the-middle", lambda _: b"id: a\nx: \xef\xbb\xbf\n", "forbidden-character")
_yaml("surrogate-escape", lambda _: b'id: "\\ud800"\n', "")
_yaml("duplicate-keys", repeated(b"a: 1\n", 150_000), "duplicate-key")
_yaml("duplicate-keys-in-one-line", repeated(b"a: 1, ", 150_000, b"{", b"}"), "duplicate-key")
_yaml("keys-that-are-no-text", repeated(b"1: 1\n", 150_000), "key-not-text")
_yaml("keys-in-one-line-that-are-no-text", repeated(b"1: 1, ", 150_000, b"{", b"}"), "key-not-text")
_yaml("unknown-keys", lambda _: b"".join(b"k%d: 1\n" % n for n in range(150_000)), "unknown-key")
_yaml("control-characters", repeated(b'- "\\0"\n', 150_000), "forbidden-character")
_yaml("list-of-numbers", repeated(b"- 1\n", 190_000, b"id: x\nversions:\n"), "")
_yaml("wrong-types-everywhere", repeated(b"[],", 60_000, b"id: x\nversions: [", b"]"), "")
_yaml(
    "unknown-services",
    lambda _: (MINIMAL / "rules" / "film-clean.yaml").read_bytes().replace(
        b"[film]", b"[" + b",".join(b"s%d" % n for n in range(40_000)) + b"]"
    ),
    "",
)  # fmt: skip
_yaml("long-period", lambda _: b"id: x\nversions: [{retention: {period: P" + b"9" * 1_000_000 + b"D}}]\n", "")
_yaml("long-instant", lambda _: b'id: x\nversions: [{effective_from: "' + b"2" * 1_000_000 + b'"}]\n', "")
_yaml("numbers-without-end", lambda _: b"id: " + b"9" * 1_000_000 + b"\n", "not-a-number")
_yaml("second-documents", repeated(b"---\nx\n", 100_000), "second-document")
_yaml("many-anchors", repeated(b"- &a x\n", 100_000), "yaml-anchor")
_yaml("directives", repeated(b"%TAG !x! tag:x,2000:\n", 50_000), "yaml-syntax")
_yaml("catalog-of-nothing", repeated(b"- {}\n", 60_000, b"services:\n"), "", "catalog.yaml")
_yaml("cases-of-nothing", repeated(b"- {}\n", 60_000, b"title: x\ncases:\n"), "", "cases/film.yaml")
_yaml("pack-of-sources", repeated(b"- {}\n", 60_000, b"sources:\n"), "", "pack.yaml")


def _linked_rule(folder: Path, scale: int) -> list[str]:
    pack = _pack(folder)
    (pack / "rules" / "film-old.yaml").symlink_to("nowhere.yaml")
    return ["check", str(pack)]


def _rule_of_a_pipe(folder: Path, scale: int) -> list[str]:
    pack = _pack(folder)
    os.mkfifo(pack / "rules" / "film-old.yaml")
    return ["check", str(pack)]


def _rules_in_a_loop(folder: Path, scale: int) -> list[str]:
    pack = _pack(folder)
    (pack / "rules" / "again").symlink_to("..", target_is_directory=True)
    return ["check", str(pack)]


def _rules_of_a_device(folder: Path, scale: int) -> list[str]:
    pack = _pack(folder)
    (pack / "rules" / "film-clean.yaml").unlink()
    (pack / "rules" / "film-clean.yaml").symlink_to("/dev/zero")
    return ["check", str(pack)]


case("yaml-link-to-nothing", _linked_rule, RULES, "film-old.yaml")
case("yaml-pipe", _rule_of_a_pipe, RULES, "film-old.yaml")
case("yaml-device", _rules_of_a_device, RULES, "film-clean.yaml")
case("yaml-loop-of-links", _rules_in_a_loop, (DONE, RULES))

"""Turns ids and URLs into names of files that every system takes, and into the names under which copies are known."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote

from policy_engine.core.urls.addresses import file_identity

_PLAIN = re.compile(r"[^A-Za-z0-9._-]")
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,8}")
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|clock\$|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_LONGEST = 100
"""Characters of one part of a path."""
_TELLING = 16
"""Letters and digits that a name needs before it is taken for the name of one file in the world."""
_TELLING_DIGITS = 4


def path_part(text: str) -> str:
    """
    Text as one part of a path: letters, digits, `.`, `_` and `-` stay, everything else becomes `%` and two digits.

    No part is empty, starts or ends with a dot, means a device to Windows, or is longer than 100 characters. Different
    texts give different parts.
    """
    part = _PLAIN.sub(lambda found: _encoded(found[0]), text)
    if part.startswith("."):
        part = "%2E" + part[1:]
    if part.endswith("."):
        part = part[:-1] + "%2E"
    if not part or _RESERVED.fullmatch(part):
        part = f"%{ord(part[0]):02X}{part[1:]}" if part else "%00"
    if len(part) > _LONGEST:
        digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
        part = f"{part[: _LONGEST - 17]}~{digest}"
    return part


def _encoded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))


def archive_folder(asset_id: str, task_id: str) -> tuple[str, str, str, str]:
    """The four parts under which a copy of an asset is kept: service, task, output, ordinal; the last has no ending."""
    service, found, rest = asset_id.partition(f"/{task_id}/")
    if not found:
        service, _, rest = asset_id.partition("/")
    output, _, ordinal = rest.rpartition("/")
    return path_part(service), path_part(task_id), path_part(output), path_part(ordinal)


def base_name(url: str) -> str:
    """The last part of the path of a URL, decoded; empty where there is none."""
    path = file_identity(url).partition("?")[0].partition("://")[2]
    return unquote(path.rpartition("/")[2]) if "/" in path else ""


def file_ending(url: str) -> str:
    """The ending of the file that a URL names, in lower case with its dot (`.mp4`); empty where it has none."""
    name = base_name(url)
    ending = name[name.rfind(".") :] if "." in name else ""
    return ending.lower() if _ENDING.fullmatch(ending) else ""


def without_ending(name: str) -> str:
    """A name of a file without `.mp4` or the like."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and stem and _ENDING.fullmatch(f".{ending}") else name


def is_telling(name: str) -> bool:
    """
    True for a name that can be that of one file only: `0_2.png` and `video.mp4` tell nothing, a UUID does.

    It needs at least 16 letters and digits before its ending, 4 of them digits.
    """
    stem = without_ending(name)
    if len(stem) < _TELLING:
        return False
    counted = [c for c in stem if c.isalnum()]
    return len(counted) >= _TELLING and sum(c.isdigit() for c in counted) >= _TELLING_DIGITS

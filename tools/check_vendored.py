"""Compares each vendored file with the npm package it is said to be from; exits with 1 on a difference."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).parents[1] / "reports" / "vendor"


def differences(folder: Path) -> list[str]:
    """What differs between a vendored folder and its package, in sentences."""
    about = json.loads((folder / "vendor.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as place:
        packed = ["npm", "pack", "--silent", "--ignore-scripts", f"{about['name']}@{about['version']}"]
        subprocess.run([*packed, "--pack-destination", place], check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(place).iterdir()
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        found = [] if about["integrity"] == f"sha512-{digest}" else ["the package has another digest than recorded"]
        with tarfile.open(archive) as package:
            for name, one in about["files"].items():
                member = package.extractfile(one["from"])
                if member is None or member.read() != (folder / name).read_bytes():
                    found.append(f"{name} is not {one['from']} of the package")
    return found


def main() -> int:
    """Check every folder and say how it went."""
    wrong = 0
    for about in sorted(VENDOR.glob("*/vendor.json")):
        found = differences(about.parent)
        print(f"{about.parent.name}: {'; '.join(found) or 'as published'}")
        wrong += len(found)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

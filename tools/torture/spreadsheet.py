"""
Opens every table that the hostile files give in LibreOffice, the way that suits an attacker best, and counts formulas.

CSV files are divided at commas, semicolons and tabs with formulas allowed and with numbers recognised; what LibreOffice
made of each cell is read from the file that it saves. Prints one line of JSON: part, tried (cells), found.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.trust import outputs  # noqa: E402

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_BOOLEANS = ("of:=TRUE()", "of:=FALSE()")
"""How LibreOffice keeps a cell that is true or false."""
# Separators, quote, UTF-8, first line, no column formats, language, quoted cells are text?, special numbers?, as shown,
# export of formulas, spaces, all sheets, formulas are evaluated.
_WAYS = {
    "at commas": "44,34,76,1,,0,false,true,false,false,false,-1,true",
    "at commas, semicolons and tabs": "44/59/9,34,76,1,,0,false,true,false,false,false,-1,true",
    "at semicolons, quotes are text": "59,,76,1,,0,false,true,false,false,false,-1,true",
}


def main() -> int:
    """Make the outputs, open them, count."""
    office = shutil.which("soffice") or shutil.which("libreoffice")
    if office is None:
        print(
            "there is no LibreOffice here, so its reading is not tried: apt-get install libreoffice-calc",
            file=sys.stderr,
        )
        return 2
    tried, found = 0, []
    with tempfile.TemporaryDirectory() as folder:
        made = outputs.make(Path(folder, "made"))
        for way, options in {**_WAYS, "workbook": ""}.items():
            into = Path(folder, way.replace(" ", "-").replace(",", ""))
            files = [made.report / "report.xlsx"] if not options else list(made.csv_files())
            how = [f"--infilter=CSV:{options}"] if options else []
            subprocess.run(
                [office, f"-env:UserInstallation={Path(folder, 'profile').as_uri()}", "--headless",
                 "--convert-to", "ods", "--outdir", str(into), *how, *map(str, files)],
                check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=600,
            )  # fmt: skip
            for path in files:
                for content, is_active in cells(into / f"{path.stem}.ods"):
                    tried += 1
                    if is_active:
                        found.append(f"{path.name}, {way}: {content!r}")
    for line in found[:20]:
        print(line, file=sys.stderr)
    print(json.dumps({"part": "spreadsheet", "tried": tried, "found": len(found)}))
    return 1 if found else 0


def cells(path: Path) -> Iterator[tuple[str, bool]]:
    """(text, whether it is a formula or holds a link) of every cell that is not empty."""
    with zipfile.ZipFile(path) as archive:
        root = ElementTree.fromstring(archive.read("content.xml"))  # noqa: S314 - LibreOffice wrote it just now
    for cell in root.iter(f"{_TABLE}table-cell"):
        text = "".join(cell.itertext())
        formula = cell.get(f"{_TABLE}formula")
        links = [element for element in cell.iter() if element.get(_LINK) is not None]
        if text or formula:
            is_formula = formula is not None and formula not in _BOOLEANS
            yield formula or text, is_formula or bool(links)


if __name__ == "__main__":
    sys.exit(main())

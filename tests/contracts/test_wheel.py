"""What a person installs: the wheel and what is in it, and the locked requirements it is set up with."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from policy_engine import __version__
from tests.support.paths import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BUNDLED = ("rules", "schemas", "reports")
LOCK_FILES = ("core.txt", "build.txt", "test.txt")


def build(kind: str, source: Path, into: Path) -> Path:
    """Build one distribution of `source` with the installed hatchling, which needs no network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(into)]
    run = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    (built,) = into.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from the checkout."""
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked_sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution built from the checkout, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", ROOT, folder / "built")) as archive:
        # Our own archive; the first releases of 3.11 know no `filter`.
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # noqa: S202
    return folder / f"media_policy_engine-{__version__}"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel installs, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.unpack_archive(wheel, folder, "zip")
    return folder


def files_of(wheel: Path) -> dict[str, int]:
    """Name and checksum of each file in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {entry.filename: entry.CRC for entry in archive.infolist() if not entry.is_dir()}


def checkout_files(folder: str) -> set[str]:
    """Files of a top-level folder of the checkout, less what tools leave behind."""
    left_behind = {".DS_Store", "__pycache__"}
    paths = (path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if not left_behind & set(path.parts)}


def run_installed(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """
    Run the installed program where the checkout cannot be seen.

    `-S` keeps the `.pth` file of an editable install from being read; the dependencies are named by path.
    """
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(installed), *sorted(dependencies)])}
    command = [sys.executable, "-S", "-P", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("folder", BUNDLED)
def test_wheel_bundles_every_file_of(folder: str, wheel: Path) -> None:
    """
    Every rule, schema and template of the checkout is in the wheel, inside the package.
    """
    expected = {f"policy_engine/_bundled/{name}" for name in checkout_files(folder)}
    assert expected
    assert expected <= files_of(wheel).keys()


@pytest.mark.slow
def test_wheel_installs_one_package_and_nothing_beside_it(wheel: Path) -> None:
    """
    Installing puts `policy_engine` and its metadata into site-packages, and no `rules`, `tests` or `docs`.
    """
    names = files_of(wheel)
    assert {name.split("/")[0] for name in names} == {
        "policy_engine",
        f"media_policy_engine-{__version__}.dist-info",
    }
    inside_package = {name.split("/")[1] for name in names if name.startswith("policy_engine/")}
    in_checkout = {name.split("/")[1] for name in checkout_files("policy_engine")}
    assert inside_package == in_checkout | {"_bundled"}


@pytest.mark.slow
def test_wheel_from_sdist_is_the_same_wheel(wheel: Path, unpacked_sdist: Path, tmp_path: Path) -> None:
    """
    Building from the source distribution gives the files that building from the checkout gives, to the byte.
    """
    assert files_of(build("wheel", unpacked_sdist, tmp_path)) == files_of(wheel)


@pytest.mark.slow
def test_checkout_is_out_of_sight_of_the_installed_program(installed: Path, tmp_path: Path) -> None:
    """
    The runs below load the installed package, with the checkout nowhere on the path.
    """
    code = "import policy_engine, sys; print(policy_engine.__file__, *sys.path, sep='\\n')"
    run = run_installed(installed, tmp_path, "-c", code)
    assert run.returncode == 0, run.stderr
    package, *paths = run.stdout.splitlines()
    assert Path(package).is_relative_to(installed)
    assert ROOT not in [Path(path) for path in paths]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--version",), ("rules",), ("validate",), ("test",)], ids=" ".join)
def test_installed_program_finds_its_own_files(arguments: tuple[str, ...], installed: Path, tmp_path: Path) -> None:
    """
    The installed program answers from any folder, with the rules and schemas it brought along.
    """
    run = run_installed(installed, tmp_path, "-m", "policy_engine", *arguments)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()


@pytest.mark.slow
def test_installed_program_tells_its_version(installed: Path, tmp_path: Path) -> None:
    """
    `--version` names the version in pyproject.toml.
    """
    run = run_installed(installed, tmp_path, "-m", "policy_engine", "--version")
    assert __version__ in run.stdout


@pytest.mark.slow
def test_installed_program_writes_a_report(installed: Path, tmp_path: Path) -> None:
    """
    The installed program finds its templates: a made-up history becomes a report page.
    """
    example = ("example", "--tasks", "20", "--seed", "1", "-o", "history.jsonl")
    report = ("report", "history.jsonl", "--as-of", "2026-01-08T00:00:00Z", "-o", "report")
    for arguments in (example, report):
        run = run_installed(installed, tmp_path, "-m", "policy_engine", *arguments)
        assert run.returncode == 0, run.stderr
    assert (tmp_path / "report" / "report.html").stat().st_size > 0


def locked(name: str) -> Iterator[tuple[Requirement, list[str]]]:
    """Requirements of a lock file, each with its hashes."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            requirement, *hashes = line.split("--hash=")
            yield Requirement(requirement.strip()), [value.strip() for value in hashes]


def versions(name: str) -> dict[str, str]:
    """Version that a lock file holds for each package."""
    found: dict[str, str] = {}
    for requirement, _ in locked(name):
        (pin,) = requirement.specifier
        assert pin.operator == "=="
        found[canonicalize_name(requirement.name)] = pin.version
    return found


@pytest.mark.parametrize("name", LOCK_FILES)
def test_lock_file_names_no_host(name: str) -> None:
    """
    A lock file says what to install, and leaves it to each machine from where.
    """
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"\b[a-z0-9-]+\.(com|dev|io|net|org)\b", text, re.IGNORECASE)
    assert not re.search(r"^\s*-", re.sub(r"^\s*--hash=", "", text, flags=re.MULTILINE), re.MULTILINE)


@pytest.mark.parametrize("name", LOCK_FILES)
def test_lock_file_has_a_hash_for_every_requirement(name: str) -> None:
    """
    Nothing is installed whose bytes were not known when the lock was made.
    """
    entries = list(locked(name))
    assert entries
    for requirement, hashes in entries:
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes), requirement


@pytest.mark.parametrize(
    ("lock_file", "wanted"),
    [
        ("core.txt", PYPROJECT["project"]["dependencies"]),
        ("build.txt", [*PYPROJECT["build-system"]["requires"], "editables"]),
        (
            "test.txt",
            [
                *PYPROJECT["project"]["dependencies"],
                *PYPROJECT["build-system"]["requires"],
                *PYPROJECT["project"]["optional-dependencies"]["dev"],
            ],
        ),
    ],
    ids=LOCK_FILES,
)
def test_lock_file_satisfies_pyproject(lock_file: str, wanted: list[str]) -> None:
    """
    A dependency added or raised in pyproject.toml is in the lock file too; `make lock` sees to it.
    """
    held = versions(lock_file)
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        assert name in held, requirement
        assert held[name] in requirement.specifier, requirement


def test_lock_files_agree() -> None:
    """
    A package has one version in all lock files, so a test environment runs what a user's environment runs.
    """
    test = versions("test.txt")
    for name in ("core.txt", "build.txt"):
        held = versions(name)
        assert held == {package: test.get(package) for package in held}

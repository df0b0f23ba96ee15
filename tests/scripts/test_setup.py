from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sysconfig
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts import ivy, java
from scripts.jars import Jar, ensure, read_lock, wrong
from scripts.report import SetupFailedError
from scripts.setup import jars_digest

CONTENT = b"the whole jar"


def jar(name: str = "thing", content: bytes = CONTENT, group: str = "spark") -> Jar:
    return Jar(group, "org.example", name, "1.0", hashlib.sha256(content).hexdigest())


class Repository:
    """A repository that serves one answer after the other."""

    def __init__(self, *answers: bytes | None) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, jars: Sequence[Jar], folder: Path) -> None:
        for wanted in jars:
            self.asked.append(wanted.file_name)
            answer = self._answers.pop(0)
            if answer is not None:
                (folder / wanted.file_name).write_bytes(answer)


def executable(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_missing_jar_is_fetched_and_a_second_time_nothing_is(tmp_path: Path) -> None:
    repository = Repository(CONTENT)
    ensure([jar()], tmp_path, repository)
    ensure([jar()], tmp_path, repository)
    assert repository.asked == ["thing-1.0.jar"]
    assert (tmp_path / "spark" / "thing-1.0.jar").read_bytes() == CONTENT


@pytest.mark.parametrize("spoiled", [CONTENT[:5], CONTENT + b"!", b""])
def test_a_file_that_was_spoiled_in_place_is_fetched_again(tmp_path: Path, spoiled: bytes) -> None:
    ensure([jar()], tmp_path, Repository(CONTENT))
    before = fingerprint(tmp_path)
    (tmp_path / "spark" / "thing-1.0.jar").write_bytes(spoiled)
    assert fingerprint(tmp_path) != before  # so the next start does not take its note for the truth
    ensure([jar()], tmp_path, Repository(CONTENT))
    assert wrong([jar()], tmp_path) == []


def fingerprint(jars: Path) -> str:
    root = jars / "project"
    (root / "requirements").mkdir(parents=True, exist_ok=True)
    (root / "requirements" / "jars.lock").write_text("")
    link = root / ".jars"
    if not link.exists():
        link.symlink_to(jars)
    return jars_digest(root)


@pytest.mark.parametrize("first", [CONTENT[:5], None])
def test_a_half_or_failed_download_is_tried_once_more(tmp_path: Path, first: bytes | None) -> None:
    repository = Repository(first, CONTENT)
    ensure([jar()], tmp_path, repository)
    assert repository.asked == ["thing-1.0.jar"] * 2
    assert wrong([jar()], tmp_path) == []


def test_a_jar_with_another_sha256_is_refused_and_not_kept(tmp_path: Path) -> None:
    other = hashlib.sha256(b"evil").hexdigest()
    with pytest.raises(SetupFailedError, match=rf"thing-1.0.jar is refused: its sha256 is {other}"):
        ensure([jar()], tmp_path, Repository(b"evil", b"evil"))
    assert list(tmp_path.rglob("*.jar")) == []


def test_a_jar_that_does_not_come_is_one_line_about_the_network(tmp_path: Path) -> None:
    with pytest.raises(SetupFailedError, match=r"could not be fetched\. Check the network"):
        ensure([jar()], tmp_path, Repository(None, None))


def test_a_jar_of_an_earlier_lock_leaves_the_class_path(tmp_path: Path) -> None:
    old = Jar("spark", "org.example", "thing", "0.9", hashlib.sha256(CONTENT).hexdigest())
    ensure([old], tmp_path, Repository(CONTENT))
    ensure([jar()], tmp_path, Repository(CONTENT))
    assert [path.name for path in (tmp_path / "spark").iterdir()] == ["thing-1.0.jar"]


def test_ivy_fetches_exactly_the_listed_jars_from_a_repository_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = tmp_path / "repository" / "org" / "example" / "thing" / "1.0"
    served.mkdir(parents=True)
    (served / "thing-1.0.jar").write_bytes(CONTENT)
    monkeypatch.setenv(ivy.ROOT_VARIABLE, (tmp_path / "repository").as_uri())
    found_java = java.find()
    assert found_java is not None
    fetch = ivy.fetcher(found_java, Path(sysconfig.get_path("purelib")))
    folder = tmp_path / "jars with a space"
    ensure([jar()], folder, fetch)
    assert wrong([jar()], folder) == []
    with pytest.raises(SetupFailedError, match="absent"):
        ensure([jar("absent")], folder, fetch)
    assert not (folder / ".fetched").exists()


@pytest.mark.parametrize(
    ("output", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "21" 2023-09-19', 21),
        ('java version "1.8.0_4"', 8),
    ],
)
def test_the_version_of_java_is_read_from_what_it_says(tmp_path: Path, output: str, major: int) -> None:
    executable(tmp_path / "java", f"echo '{output}' >&2")
    assert java.version(str(tmp_path / "java")) == major


@pytest.mark.parametrize("old_java", [True, False])
def test_without_a_good_java_one_line_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old_java: bool
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    executable(tmp_path / "apt-get", "exit 99")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    if old_java:
        executable(tmp_path / "java", "echo 'openjdk version \"11.0.2\"' >&2")
    with pytest.raises(SetupFailedError) as refused:
        java.ensure()
    assert "sudo apt-get install -y openjdk-17-jre-headless" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_as_root_on_debian_java_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    log, java_path = tmp_path / "log", tmp_path / "java"
    body = f"printf '#!/bin/sh\\necho version \\\\\"17.0.1\\\\\" >&2\\n' > {java_path}; /bin/chmod +x {java_path}"
    executable(tmp_path / "apt-get", f'echo "$@" >> {log}\ncase "$*" in *openjdk-17*) {body};; esac')
    assert java.ensure() == str(java_path)
    assert log.read_text().splitlines() == ["update", "install -y --no-install-recommends openjdk-17-jre-headless"]


def test_without_a_good_python_one_line_says_so(tmp_path: Path, repo_root: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(repo_root / "scripts" / "setup.sh", tmp_path / "scripts")
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "dirname"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or "")
    executable(tmp_path / "bin" / "python3", "exit 1")  # as a Python 3.10 answers the question for its version
    done = subprocess.run(
        ["sh", str(tmp_path / "scripts" / "setup.sh")],  # noqa: S607 - the PATH is the test's own
        env={"PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Python 3.11 or 3.12 is needed" in done.stderr


def locked(root: Path, name: str) -> dict[str, str]:
    """Each package of a lock with its block of lines."""
    blocks = re.split(r"\n(?=\S)", (root / "requirements" / name).read_text().strip())
    return {re.split(r"[=<>\[; ]", block)[0].lower().replace("_", "-"): block for block in blocks}


@pytest.mark.parametrize("name", ["run.lock", "dev.lock", "fuzz.lock", "bench.lock", "build.lock", "uv.lock"])
def test_every_locked_package_is_pinned_with_hashes_and_no_index_is_named(repo_root: Path, name: str) -> None:
    for package, block in locked(repo_root, name).items():
        assert "==" in block, package
        assert "--hash=sha256:" in block, package
    text = (repo_root / "requirements" / name).read_text()
    assert "://" not in text
    assert "index-url" not in text


def test_the_lock_holds_all_that_the_project_asks_for_and_dev_all_of_run(repo_root: Path) -> None:
    project = tomllib.loads((repo_root / "pyproject.toml").read_text())["project"]

    def name(text: str) -> str:
        return re.split(r"[=<>\[; ]", text)[0].lower().replace("_", "-")

    run, dev = locked(repo_root, "run.lock"), locked(repo_root, "dev.lock")
    assert {name(text) for text in project["dependencies"]} <= run.keys()
    assert {name(text) for text in project["optional-dependencies"]["dev"]} <= dev.keys()
    for beside in ("fuzz", "bench"):
        assert set(project["optional-dependencies"][beside]) == {
            block.split(" \\")[0] for block in locked(repo_root, f"{beside}.lock").values()
        }
    assert {block.split(" \\")[0] for block in run.values()} <= {block.split(" \\")[0] for block in dev.values()}


def test_the_jars_in_use_are_the_locked_ones(repo_root: Path) -> None:
    jars = read_lock(repo_root / "requirements" / "jars.lock")
    assert {j.group for j in jars} == {"spark", "broker"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", j.sha256) for j in jars)
    assert wrong(jars, repo_root / ".jars") == []

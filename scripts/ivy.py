"""Fetch jars with the Ivy that ships inside the pyspark wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from scripts.jars import Fetch, Jar
from scripts.report import SetupFailedError, say

ROOT_VARIABLE = "CRYPTOLAKE_JAR_REPOSITORY"
"""Names a mirror with Maven's layout; without it Ivy's own default is taken."""

_TROUBLE = {
    "PKIX path building failed": "Java does not trust the network's certificate authority. Name a store that holds it:"
    " export JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=FILE",
    "UnknownHostException": "the repository's name is not known: is there a network?",
    "ConnectException": "the repository does not answer: is there a network, or a proxy to name in JAVA_TOOL_OPTIONS?",
    "SocketTimeoutException": "the repository is too slow",
    "module not found": "a jar was not found in the repository",
}
"""What Ivy says (once for each jar, in many lines), and what it means."""


def settings_xml(cache: Path, root: str | None) -> str:
    """Write Ivy's settings: one Maven-like repository, no module descriptors, the cache in the given folder."""
    where = f" root={quoteattr(root)}" if root else ""
    return (
        '<ivysettings><settings defaultResolver="registry"/>'
        f"<caches defaultCacheDir={quoteattr(str(cache))}/>"
        '<timeout-constraints><timeout-constraint name="patient" connectionTimeout="30000" readTimeout="60000"/>'
        '</timeout-constraints><resolvers><ibiblio name="registry" m2compatible="true" usepoms="false"'
        f' timeoutConstraint="patient"{where}/></resolvers></ivysettings>'
    )


def module_xml(jars: Sequence[Jar]) -> str:
    """Write the list of what to fetch: these very jars, nothing they depend on."""
    dependencies = "".join(
        f"<dependency org={quoteattr(jar.organisation)} name={quoteattr(jar.name)} rev={quoteattr(jar.revision)}"
        ' transitive="false" conf="default->default"/>'
        for jar in jars
    )
    return (
        '<ivy-module version="2.0"><info organisation="cryptolake" module="jars"/>'
        '<configurations><conf name="default"/></configurations>'
        f"<dependencies>{dependencies}</dependencies></ivy-module>"
    )


def fetcher(java: str, site_packages: Path) -> Fetch:
    """Return a function that fetches jars by Ivy; Ivy shows its own progress.

    Raises:
        SetupFailedError: the pyspark wheel holds no Ivy.
    """
    found = sorted((site_packages / "pyspark" / "jars").glob("ivy-*.jar"))
    if not found:
        raise SetupFailedError(
            f"No ivy-*.jar in {site_packages}/pyspark/jars. Remove .venv and run `make setup` again."
        )

    def fetch(jars: Sequence[Jar], folder: Path) -> None:
        # A cache of the one call: a half or wrong file in it would be served again.
        cache = folder / ".ivy"
        cache.mkdir(parents=True)
        settings, module = cache / "ivysettings.xml", cache / "ivy.xml"
        settings.write_text(settings_xml(cache, os.environ.get(ROOT_VARIABLE)), encoding="utf-8")
        module.write_text(module_xml(jars), encoding="utf-8")
        pattern = f"{folder}/[artifact]-[revision].[ext]"
        command = [java, "-jar", str(found[-1]), "-settings", str(settings), "-ivy", str(module), "-retrieve", pattern]
        _run_with_progress(command, len(jars))
        shutil.rmtree(cache)

    return fetch


def _run_with_progress(command: Sequence[str], total: int) -> None:
    """Show a line for each jar that comes, and what Ivy says when it warns.

    Its exit code is of no interest: what counts is which files came, and their sha256.
    """
    come, told = 0, set[str]()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        for line in running.stdout or ():
            if "[SUCCESSFUL ]" in line:
                come += 1
                say(f"  {come}/{total} {line.split('!')[-1].split('.jar')[0]}")
            for sign, meaning in _TROUBLE.items():
                if sign in line and meaning not in told:
                    told.add(meaning)
                    say(f"  {meaning}")

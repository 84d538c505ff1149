"""The virtual environment with the peers, and the library of ckpt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Callable, Iterable, Optional

from . import peers
from .redaction import last_line

TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(TOOLS)
#: Everything that the command makes; not in git.
WORK = os.path.join(ROOT, ".build-compare")
_CONSTRAINTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "constraints.txt")

Say = Callable[[str], None]


class Environment:
    """A virtual environment in which each peer is installed on its own, so that one that fails leaves the others.

    Args:
        path: its directory.
    """

    def __init__(self, path: str = os.path.join(WORK, "peers")) -> None:
        self.path = path
        self.python = os.path.join(path, "bin", "python")
        #: What is installed; requirements as they were written.
        self._stamp = os.path.join(path, "installed.json")

    def install(self, entries: Iterable[peers.Entry], say: Say) -> dict[str, str]:
        """Installs what is missing.

        Args:
            entries: the peers.
            say: takes lines that tell what is going on.

        Returns:
            Why a peer could not be installed, by its name.

        Raises:
            RuntimeError: what all peers need cannot be installed.
        """
        if not os.path.exists(self.python):
            say("making a virtual environment")
            subprocess.run([sys.executable, "-m", "venv", self.path], check=True)
        done = self._installed()
        if not set(peers.BASE) <= done:
            say("installing PyTorch (up to 3 GB are fetched)")
            problem = self._install_base()
            if problem:
                raise RuntimeError(f"{' '.join(peers.BASE)} cannot be installed: {problem}")
            done = self._record(peers.BASE)
        problems = {}
        for entry in entries:
            if set(entry.requirements) <= done:
                continue
            say(f"installing {' '.join(entry.requirements)}")
            problem = self._pip(entry.requirements)
            if problem:
                problems[entry.name] = f"not installed: {problem}"
            else:
                done = self._record(entry.requirements)
        return problems

    def _install_base(self) -> str:
        """Takes the build of PyTorch for the CPU if the index has it; the other has the same version, and CUDA."""
        torch, *others = peers.BASE
        if not self._pip([f"{torch}+cpu", *others]):
            return ""
        return self._pip(peers.BASE)

    def _pip(self, requirements: Iterable[str]) -> str:
        """Installs packages; returns an empty text, or the last line of the error."""
        found = subprocess.run(
            [self.python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", _CONSTRAINTS,
             *requirements], capture_output=True, text=True)
        return "" if found.returncode == 0 else pip_reason(found.stderr) or f"pip ended with {found.returncode}"

    def _installed(self) -> set[str]:
        try:
            with open(self._stamp) as file:
                return set(json.load(file))
        except (FileNotFoundError, ValueError):
            return set()

    def _record(self, requirements: Iterable[str]) -> set[str]:
        done = self._installed() | set(requirements)
        with open(self._stamp, "w") as file:
            json.dump(sorted(done), file)
        return done

    def versions(self, packages: Iterable[str]) -> dict[str, str]:
        """The versions of installed packages."""
        program = (
            "import sys, json, importlib.metadata as m\n"
            "found = {}\n"
            "for name in sys.argv[1:]:\n"
            "    try: found[name] = m.version(name)\n"
            "    except m.PackageNotFoundError: pass\n"
            "print(json.dumps(found))")
        found = subprocess.run([self.python, "-c", program, *packages], capture_output=True, text=True, check=True)
        versions: dict[str, str] = json.loads(found.stdout)
        return versions

    def version_of_ckpt(self, runner: dict[str, str]) -> str:
        """The version of the library.

        Args:
            runner: the environment of runners.
        """
        found = subprocess.run(
            [self.python, "-c", "import ckpt; print(ckpt.__version__)"], capture_output=True, text=True, env=runner)
        if found.returncode:
            raise RuntimeError(f"the library of ckpt cannot be loaded: {last_line(found.stderr)}")
        return found.stdout.strip()


def pip_reason(text: str) -> str:
    """The last line of an error of pip that gives a reason; not the one that refers to a manual."""
    return last_line("\n".join(line for line in text.splitlines() if "ResolutionImpossible" not in line))


def library(say: Say) -> str:
    """The path of the library of ckpt: CKPT_LIBRARY, or what Tools/c-library builds.

    Raises:
        RuntimeError: there is none.
    """
    named = os.environ.get("CKPT_LIBRARY")
    if named:
        if not os.path.exists(named):
            raise RuntimeError(f"CKPT_LIBRARY names {named}, which does not exist")
        return os.path.abspath(named)
    built = os.path.join(ROOT, ".build-c", "out", "libcheckpoint.so")
    if not os.path.exists(built):
        say("building libcheckpoint.so with Tools/c-library (some minutes)")
        subprocess.run([os.path.join(TOOLS, "c-library")], check=True)
    return built


def runner_environment(library_path: Optional[str]) -> dict[str, str]:
    """The environment of the processes that measure."""
    found = {**os.environ, "PYTHONPATH": os.pathsep.join([TOOLS, os.path.join(TOOLS, "python")])}
    found["PYTHONDONTWRITEBYTECODE"] = "1"
    found["JAX_PLATFORMS"] = "cpu"
    if library_path is not None:
        found["CKPT_LIBRARY"] = library_path
    return found

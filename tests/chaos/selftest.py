#!/usr/bin/env python3
"""The campaign's test of itself: each deliberately broken build must fail it, and the build that is not broken must
pass.

    selftest.py --build-root DIR [NAME ...]

Copies the sources to DIR and builds them as they are, then once for each patch of mutations/ (or those named), and runs
the same short plan of faults on each. A patch says in its second line as what the checker must find it. DIR may be used
again: it is built anew then from what has changed. Exit code: 0 all as it must be, 1 not, 2 something could not be
built or run.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
MUTATIONS = HERE / "mutations"
SOURCES = ("src", "configure.ac", "Makefile.am", "build-aux", "doc", "etc", "README.md", "NEWS", "LICENSE", "contrib",
           "tests")
# Kafka has records whose acknowledgements are swallowed when the bridge is killed; then it is killed with records that
# Kafka never got.
PLAN = "2:3:half_open_theirs:kafka_link, 3.5:1:kill:bridge, 9:3:half_open:kafka_link, 10.5:1:kill:bridge"
SEED, MINUTES = 1, 0.25


class Failure(Exception):
    """Something could not be built or run."""


def run(command, directory, timeout=600):
    done = subprocess.run([str(word) for word in command], cwd=directory, capture_output=True, text=True,
                          timeout=timeout)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def expected(patch):
    """What a patch breaks, and the code it must be found by."""
    what, code = patch.read_text().splitlines()[:2]
    match = re.fullmatch(r"Must be found as: ([a-z-]+)", code)
    if not match:
        raise Failure(f"{patch.name}: its second line does not say as what it must be found")
    return what, match.group(1)


def apply(patch, tree, *more):
    run(["patch", "-p1", "-s", "-F3", "-i", patch, *more], tree)


class Tree:
    """A copy of the sources with a build of its own; what has not changed keeps its time,
    so that only the rest is compiled."""

    def __init__(self, root):
        self.source, self.build = root / "source", root / "build"
        self.source.mkdir(parents=True, exist_ok=True)
        self.build.mkdir(exist_ok=True)

    def fill(self):
        for name in SOURCES:
            for path in [TOP / name, *(TOP / name).rglob("*")]:
                if path.is_file() and "__pycache__" not in path.parts:
                    self._copy(path, self.source / path.relative_to(TOP))

    @staticmethod
    def _copy(path, to):
        to.parent.mkdir(parents=True, exist_ok=True)
        if not to.exists() or to.read_bytes() != path.read_bytes():
            shutil.copyfile(path, to)
            shutil.copymode(path, to)

    def make(self):
        if not (self.source / "configure").exists():
            run(["autoreconf", "-i"], self.source)
        if not (self.build / "Makefile").exists():
            compiler = "ccache gcc" if shutil.which("ccache") else "gcc"
            run([self.source / "configure", "-q", f"CC={compiler}", "CFLAGS=-O1 -g"], self.build)
        run(["make", "-s", "-j2", "rkbridge"], self.build, timeout=1200)


def verdict(tree, directory):
    """The codes of what the campaign found, and whether it ran to its end."""
    shutil.rmtree(directory, ignore_errors=True)
    command = [sys.executable, HERE / "run.py", "--build", tree.build, "--seed", SEED, "--minutes", MINUTES, "--faults",
               PLAN, "--keep", directory]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=400)
    try:
        return done.returncode, json.loads((directory / "verdict.json").read_text())["counts"]
    except OSError as error:
        raise Failure(f"no verdict ({error}):\n{done.stdout[-2000:]}{done.stderr[-2000:]}") from None


def try_one(tree, root, patch):
    """One line of what was seen, and whether it is what must be."""
    tree.fill()
    code = None
    if patch:
        what, code = expected(patch)
        apply(patch, tree.source)
    tree.make()
    name = patch.stem if patch else "unbroken"
    status, counts = verdict(tree, root / name)
    seen = ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "nothing"
    good = code in counts and status == 1 if patch else status == 0
    wanted = f"{code}: {what}" if patch else "nothing"
    return good, f"{'ok' if good else 'NOT AS IT MUST BE'}: {name}: found {seen}; must find {wanted}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build-root", type=pathlib.Path, required=True)
    parser.add_argument("names", nargs="*", help="only these patches, by name")
    options = parser.parse_args()
    root = options.build_root.resolve()
    patches = [one for one in sorted(MUTATIONS.glob("*.patch")) if not options.names or one.stem in options.names]
    os.environ["CCACHE_NOHASHDIR"] = "1"
    wrong = 0
    try:
        tree = Tree(root)
        for patch in [None, *patches]:
            good, line = try_one(tree, root, patch)
            wrong += not good
            print(line, flush=True)
    except (Failure, OSError, subprocess.TimeoutExpired) as failure:
        print(f"selftest: {failure}", file=sys.stderr)
        return 2
    print(f"selftest: {1 + len(patches) - wrong} as they must be, {wrong} not")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

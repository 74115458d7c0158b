#!/usr/bin/env python3
"""What is wrong in a run directory of the campaign.

    check.py RUNDIR [--json]

Says each finding with its code, what it is about and the evidence, then the figures; the same as JSON is written to
RUNDIR/verdict.json. Exit code: 0 nothing, 1 findings, 2 no run directory.
"""

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import checker  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rundir", type=pathlib.Path)
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args()
    if not options.rundir.is_dir():
        print(f"{options.rundir} is no directory", file=sys.stderr)
        return 2
    found = checker.check(options.rundir)
    document = json.dumps(found.document(), indent=1 if options.json else None)
    (options.rundir / "verdict.json").write_text(document + "\n")
    print(document if options.json else "\n".join(found.lines()))
    return 1 if found.counts else 0


if __name__ == "__main__":
    sys.exit(main())

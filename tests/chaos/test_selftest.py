"""The mutations of the campaign's self-test still fit the sources, and say what they are to be found as."""

import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import plan  # noqa: E402
import selftest  # noqa: E402
from checker.findings import CODES  # noqa: E402

PATCHES = sorted(selftest.MUTATIONS.glob("*.patch"))


def test_there_are_four_at_least():
    assert len(PATCHES) >= 4


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_patch_applies_and_says_its_code(patch):
    selftest.apply(patch, selftest.TOP, "--dry-run", "--force")
    assert selftest.expected(patch)[1] in CODES


def test_a_patch_that_does_not_fit_is_said(tmp_path):
    patch = next(iter(PATCHES))
    shutil.copytree(selftest.TOP / "src", tmp_path / "src")
    for path in (tmp_path / "src" / "daemon").glob("*.c"):
        path.write_text("nothing\n")
    with pytest.raises(selftest.Failure):
        selftest.apply(patch, tmp_path, "--dry-run", "--force")


def test_the_plan_is_one():
    faults = plan.given(selftest.PLAN)
    assert [one.on for one in faults].count("bridge") == 2
    assert max(one.at + one.lasts for one in faults) < selftest.MINUTES * 60

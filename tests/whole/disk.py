"""Disks that are made to fail: small ones, ones whose backing has no room, ones that stand still or turn read-only.

Loop devices and mounts need root and a kernel that lets us; where they cannot be had a scenario is not run, and says
so. Nothing stays behind: what was frozen is thawed by a process of its own after 20 s, whatever becomes of the test.
"""

import errno
import os
import pathlib
import subprocess
import tempfile

import pytest


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def not_run(why):
    print(f"NOT RUN, which is no pass: {why}")
    pytest.skip(f"NOT RUN: {why}")


class Mounts:
    """Mount points of one scenario, taken apart in turn by close()."""

    def __init__(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="rkb-disk-", dir="/tmp"))
        self._undo = []
        self._guards = []

    def _place(self, name):
        place = self.top / name
        place.mkdir()
        return place

    def _made(self, place):
        self._undo.append(lambda: run("umount", place))
        os.chmod(place, 0o700)
        return place

    def tmpfs(self, name, size):
        place = self._place(name)
        try:
            run("mount", "-t", "tmpfs", "-o", f"size={size}", "rkb-test", place)
        except (OSError, subprocess.CalledProcessError) as error:
            not_run(f"a tmpfs cannot be mounted here ({getattr(error, 'stderr', error)})")
        return self._made(place)

    def ext4(self, name, image, size, *options, mount="loop"):
        """A file system in the file `image`, which is sparse: its room is taken as it is written."""
        place = self._place(name)
        with open(image, "wb") as file:
            file.truncate(size)
        try:
            run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", *options, image)
            run("mount", "-o", mount, image, place)
        except (OSError, subprocess.CalledProcessError) as error:
            not_run(f"a loop device cannot be mounted here ({getattr(error, 'stderr', error)})")
        return self._made(place)

    def turn_read_only(self, place):
        """What the kernel does when it finds this ext4 damaged: needs mount=..."errors=remount-ro"."""
        device = pathlib.Path(run("findmnt", "-no", "SOURCE", place)).name
        try:
            pathlib.Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")
        except OSError as error:
            not_run(f"this kernel does not let an ext4 fail ({error})")
        try:
            (place / "written").write_text("")
        except OSError as error:
            assert error.errno == errno.EROFS, error
        else:
            raise AssertionError(f"{place} still takes files")

    def repair(self, place, image, mount="loop"):
        """As an operator would: unmounted, checked, mounted again. Nobody may have a file open in it."""
        run("umount", place)
        done = subprocess.run(["fsck.ext4", "-f", "-y", str(image)], capture_output=True, text=True, timeout=60)
        assert done.returncode in (0, 1), done.stdout + done.stderr     # nothing to correct, or all corrected
        run("mount", "-o", mount, image, place)

    def freeze(self, place):
        """Frozen until thaw(), and for 20 s at the most."""
        self._guards.append(subprocess.Popen(["sh", "-c", 'sleep 20; fsfreeze -u "$1"', "thaw", str(place)],
                                             start_new_session=True, stderr=subprocess.DEVNULL))
        try:
            run("fsfreeze", "-f", place)
        except (OSError, subprocess.CalledProcessError) as error:
            not_run(f"a file system cannot be frozen here ({getattr(error, 'stderr', error)})")

    def thaw(self, place):
        subprocess.run(["fsfreeze", "-u", str(place)], capture_output=True, timeout=60)

    def close(self):
        for place in self.top.iterdir():
            self.thaw(place)
        for guard in self._guards:
            guard.kill()
            guard.wait()
        for undo in reversed(self._undo):
            undo()
        subprocess.run(["rm", "-rf", "--one-file-system", str(self.top)], timeout=60)

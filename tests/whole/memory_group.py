"""A memory cgroup of its own for one process: a limit as a container has it, and what is charged to it. v1 or v2."""

import contextlib
import os
import pathlib

from waiting import wait_for

V1 = pathlib.Path("/sys/fs/cgroup/memory")
V2 = pathlib.Path("/sys/fs/cgroup")


class NoGroups(Exception):
    """This machine gives us none; the text says why."""


class MemoryGroup:
    def __init__(self, limit):
        """limit: bytes."""
        self.old = (V1 / "memory.limit_in_bytes").exists()
        self.directory = (V1 if self.old else V2) / f"rkbridge-test-{os.getpid()}"
        try:
            self.directory.mkdir()
            (self.directory / ("memory.limit_in_bytes" if self.old else "memory.max")).write_text(str(limit))
            if not self.old:
                with contextlib.suppress(OSError):      # v1 counts it apart, and this machine may have none
                    (self.directory / "memory.swap.max").write_text("0")
        except OSError as error:
            self.close()
            raise NoGroups(f"no memory cgroup can be made in {self.directory.parent}: {error}") from None

    def enter(self):
        """The calling process and all it will start; for Popen's preexec_fn."""
        (self.directory / "cgroup.procs").write_text(str(os.getpid()))

    def _figures(self, name):
        return dict(line.split() for line in (self.directory / name).read_text().splitlines())

    def usage(self):
        return int((self.directory / ("memory.usage_in_bytes" if self.old else "memory.current")).read_text())

    def most(self):
        """The most it ever was; None where the kernel does not say (v2 before 5.19)."""
        path = self.directory / ("memory.max_usage_in_bytes" if self.old else "memory.peak")
        return int(path.read_text()) if path.exists() else None

    def page_cache(self):
        """Of files on a disk: tmpfs counts apart."""
        figures = self._figures("memory.stat")
        return int(figures["cache" if self.old else "file"]) - int(figures["shmem"])

    def killed(self):
        """How many processes the kernel ended because the limit was met."""
        return int(self._figures("memory.oom_control" if self.old else "memory.events").get("oom_kill", 0))

    def close(self):
        def gone():
            with contextlib.suppress(OSError):
                self.directory.rmdir()
            return not self.directory.exists()
        wait_for("the cgroup to be empty", gone, 10)

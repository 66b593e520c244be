"""Wall clocks that can be put forward and back, one process at a time, by libfaketime. Monotonic clocks go on as they are."""

import contextlib
import os
import tempfile
from pathlib import Path

LIBRARIES = Path("/usr/lib"), "*/faketime/libfaketime.so.1"


def library():
    folder, pattern = LIBRARIES
    return next(folder.glob(pattern), None)


def reason():
    """Why no clock can be skewed here."""
    return None if library() else "libfaketime is missing: apt-get install libfaketime"


class Clock:
    """That of the processes that are started below `prefix`."""

    def __init__(self, file: Path):
        self.file = file
        self.put(0)
        settings = {
            "LD_PRELOAD": library(), "FAKETIME_TIMESTAMP_FILE": file,
            "FAKETIME_NO_CACHE": 1, "FAKETIME_DONT_FAKE_MONOTONIC": 1,
        }
        self.prefix = ("env", *(f"{name}={value}" for name, value in settings.items()))

    def put(self, seconds):
        """So many seconds before the machine's clock."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.chmod(0o644)
        # At once, for it is read with every look at the clock.
        new.replace(self.file)

    @staticmethod
    def tidy(pid):
        """Takes away the names of what the library shares between processes: one that is killed would leave them."""
        for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
            Path("/dev/shm", name).unlink(missing_ok=True)


class Unfaked:
    """Where the library is missing, and for programs that don't ask libc for the time."""

    prefix = ()

    @staticmethod
    def tidy(pid):
        pass


@contextlib.contextmanager
def clocks():
    """Makes a clock for each name that it is called with."""
    with tempfile.TemporaryDirectory(prefix="keyfold-clocks-") as folder:
        # PostgreSQL runs as another user.
        os.chmod(folder, 0o711)
        yield lambda name: Clock(Path(folder) / name) if library() else Unfaked()

"""The folder in which several workers count together (`adapter.metrics`), and what those before have left behind.

A service that was killed has removed nothing. Whether one lasts is told by the lock of its folder; its workers may
outlast it, and go on counting there.

prometheus_client names files after processes, and they would be more with each worker that is started again. Here they
are named by numbers: who comes in the place of one that has ended counts on in its files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

from adapter.alone import Taken, alone, for_good
from adapter.settings import SettingsError

_PREFIX = "mediloop-metrics-"
_LOCK = "service.lock"
_WORKER = ".lock"

COUNTED = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client's variable, which may name a folder of the operator's."""


def require_folder() -> None:
    """Make sure that the folder is there, where one is named; before `adapter.metrics` is loaded, which writes there.

    Raises:
        SettingsError: it is not.
    """
    folder = os.environ.get(COUNTED)
    if folder is not None and not (Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise SettingsError(f"Bad setting. {COUNTED}: name a folder that is there and can be written, or leave it out.")


@contextmanager
def together() -> Iterator[Path]:
    """Give a folder of this service's own; it goes when the service ends."""
    _clear()
    with ExitStack() as held:
        folder = _made(held)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _made(held: ExitStack) -> Path:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with suppress(Taken):  # another one that starts took it for left behind, before it was locked
            held.enter_context(alone(folder / _LOCK))
            return folder


def _clear() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(Taken, OSError):  # its service lasts, or another one that starts was quicker
            # Of this user: in a folder for all, others may have put there what they like.
            if folder.lstat().st_uid == os.getuid() and (folder / _LOCK).exists() and not _has_workers(folder):
                with alone(folder / _LOCK):
                    shutil.rmtree(folder, ignore_errors=True)


def _has_workers(folder: Path) -> bool:
    return any(not _is_free(lock) for lock in folder.glob(f"[0-9]*{_WORKER}"))


def _is_free(lock: Path) -> bool:
    try:
        with alone(lock):
            return True
    except Taken:
        return False


def own_number(folder: Path) -> int:
    """Return the number of the files that this process counts in until it ends: the first that no other counts in."""
    for number in count():
        with suppress(Taken):
            for_good(folder / f"{number}{_WORKER}")
            mark_process_dead(number, str(folder))  # type: ignore[no-untyped-call]  # untyped upstream
            break
    return number


def forget_the_dead(folder: Path) -> None:
    """Remove what workers that are gone have told of the present: a killed one has no connections any more."""
    for number in {one.stem.rpartition("_")[2] for one in folder.glob("gauge_live*.db")}:
        with suppress(Taken), alone(folder / f"{number}{_WORKER}"):  # nobody begins to count there meanwhile
            mark_process_dead(number, str(folder))  # type: ignore[no-untyped-call]  # untyped upstream

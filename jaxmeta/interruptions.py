"""Signals that ask a run to stop: it does so where nothing is lost."""

import os
import signal
import threading
from types import FrameType
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A run was asked to stop, and did; the same call again goes on.

    Attributes:
        number: of the signal.
        step: meta-updates that are saved.
        num_updates: those it was to make.
    """

    def __init__(self, number: int, step: int, num_updates: int):
        self.number, self.step, self.num_updates = number, step, num_updates
        super().__init__(
            f"stopped by {signal.Signals(number).name} after {step} of {num_updates} "
            "meta-updates, which are saved"
        )


class Interruptions:
    """While it is entered, Ctrl-C and SIGTERM are noted and do no more.

    A second one does what it always did. In threads that get no signals it is without
    effect.
    """

    def __init__(self):
        self._asked: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruptions":
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._note) for number in _SIGNALS
            }
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._asked = number
        self._restore()
        message = (
            f"\n{signal.Signals(number).name}: stopping after this chunk of updates; "
            "once more stops at once\n"
        )
        os.write(2, message.encode())  # print may be in the middle of another one

    def stop(self, step: int, num_updates: int) -> Interrupted | None:
        """What to raise, if a signal asked for it.

        Processes that train together stop together, if one of them was asked.
        """
        asked = self._asked or 0
        if jax.process_count() > 1:
            asked = int(multihost_utils.process_allgather(np.int32(asked)).max())
        if not asked:
            return None
        self._asked = None
        return Interrupted(asked, step, num_updates)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            if handler is not None:  # one that was not set by Python cannot be
                signal.signal(number, handler)
        self._before = {}

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._restore()
        if self._asked is not None and kind is None:  # it came too late for ``stop``
            signal.raise_signal(self._asked)

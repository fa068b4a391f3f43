"""SIGTERM ends a command with 143, at once or when what was begun is whole."""

from __future__ import annotations

import os
import signal

import pytest

from orchestrator.engine.signals import EXIT_TERMINATED, ending_by_sigterm, sigterm_at_the_end


def test_it_is_an_exit():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, ending_by_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == EXIT_TERMINATED == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_cannot_be_stopped_is_finished_first():
    """As Ray does while it starts, the block sets a handler that would leave at once."""
    before, done = signal.getsignal(signal.SIGTERM), []

    def leave(*_: object) -> None:
        raise SystemExit(15)

    with pytest.raises(SystemExit) as ended, sigterm_at_the_end():
        signal.signal(signal.SIGTERM, leave)
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("started")
    assert (ended.value.code, done) == (143, ["started"])
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_handlers_are_the_blocks_own():
    before = signal.getsignal(signal.SIGUSR1)

    def handler(*_: object) -> None: ...

    try:
        with sigterm_at_the_end():
            signal.signal(signal.SIGUSR1, handler)
        assert signal.getsignal(signal.SIGUSR1) is handler
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_error_of_the_block_is_the_error():
    with pytest.raises(ValueError, match="no"), sigterm_at_the_end():
        os.kill(os.getpid(), signal.SIGTERM)
        raise ValueError("no")

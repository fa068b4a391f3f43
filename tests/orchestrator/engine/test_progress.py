"""Progress lines: what they say, where, and how often."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from orchestrator.engine import progress as module
from orchestrator.engine.progress import Progress, say


class Clock:
    """Stands in for `time`; moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def console(terminal: bool = False) -> Console:
    environment = {"TERM": "xterm"}
    return Console(
        file=io.StringIO(),
        force_terminal=terminal,
        width=200,
        highlight=False,
        _environ=environment,
    )


def lines(console: Console) -> list[str]:
    return console.file.getvalue().splitlines()


def test_plain_lines_at_most_every_few_seconds(clock):
    out = console()
    with Progress(100, "images", "annotate", console=out) as progress:
        for _ in range(10):
            clock.now += 2
            progress.advance(10)
    assert lines(out) == [
        "annotate: 30/100 images, 5.0 images/s, ETA 14 s",
        "annotate: 60/100 images, 5.0 images/s, ETA 8 s",
        "annotate: 90/100 images, 5.0 images/s, ETA 2 s",
        "annotate: 100/100 images, 5.0 images/s, ETA 0 s",
    ]


def test_slow_work_is_counted_by_the_minute(clock):
    out = console()
    with Progress(85, "recipes", "reproduce", console=out) as progress:
        clock.now += 60
        progress.advance(2)
    assert lines(out)[-1] == "reproduce: 2/85 recipes, 2.0 recipes/min, ETA 41:30 min"


def test_what_an_earlier_run_did_is_not_in_the_speed(clock):
    with Progress(100, "images", "annotate", done=90, console=console()) as progress:
        clock.now += 5
        progress.advance(5)
        assert progress.per_second == 1.0
        assert progress.done == 95


def test_nothing_to_do(clock):
    out = console()
    with Progress(0, "images", "annotate", console=out):
        pass
    assert lines(out) == ["annotate: 0/0 images"]


def test_no_last_line_after_an_error(clock):
    out = console()
    with pytest.raises(KeyError), Progress(9, "images", "annotate", console=out):
        raise KeyError
    assert lines(out) == []


def test_a_terminal_gets_a_bar():
    out = console(terminal=True)
    with Progress(4, "images", "[b]annotate", console=out) as progress:
        progress.advance_to(4)
    assert "[b]annotate" in out.file.getvalue()
    assert "4/4 images" in out.file.getvalue()


def test_stdout_stays_empty(capsys):
    with Progress(1, "images", "annotate") as progress:
        progress.advance(1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1/1 images" in captured.err


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (61, "1:01 min"), (7260, "2:01 h")]
)
def test_durations(clock, seconds, text):
    out = console()
    with Progress(2, "x", "y", console=out) as progress:
        clock.now += seconds
        progress.advance(1)
    assert lines(out)[-1].endswith(text)


@pytest.mark.parametrize(
    ("units", "seconds", "rate"),
    [
        (1, 10, "0.1 x/s"),  # the slowest that is counted by the second
        (1, 11, "5.5 x/min"),
        (1, 600, "0.1 x/min"),
        (1234, 1, "1234.0 x/s"),
    ],
)
def test_rates(clock, units, seconds, rate):
    out = console()
    with Progress(2000, "x", "y", console=out) as progress:
        clock.now += seconds
        progress.advance(units)
    assert f", {rate}, ETA " in lines(out)[-1]


@given(st.integers(0, 10**6))
def test_no_duration_shows_sixty_of_anything(seconds):
    value, unit = module.clock(seconds).split()
    *large, small = map(int, value.split(":"))
    if unit == "s":
        assert (large, small) == ([], seconds)
    else:
        per = {"min": 1, "h": 60}[unit]
        assert small < 60
        assert 60 * large[0] + small == seconds // per


def test_a_line_comes_after_five_seconds_and_not_before(clock):
    out = console()
    with Progress(9, "images", "annotate", console=out) as progress:
        clock.now += 4.99
        progress.advance(1)
        assert lines(out) == []
        clock.now += 0.01
        progress.advance(1)
        assert lines(out) == ["annotate: 2/9 images, 0.4 images/s, ETA 18 s"]


def test_the_clock_starts_with_the_work(clock):
    progress = Progress(9, "images", "annotate", console=console())
    clock.now += 1000  # workers are started in between
    with progress:
        assert progress.per_second == 0
        clock.now += 2
        progress.advance(4)
        assert progress.per_second == 2


def test_a_bar_ends_with_an_error_and_hides_nothing(clock):
    out = console(terminal=True)
    with pytest.raises(KeyError), Progress(4, "images", "annotate", console=out):
        raise KeyError
    assert out._live_stack == []  # the terminal is free again


def test_words_in_brackets_are_no_markup(clock):
    out = console()
    with Progress(1, "[red]images", "[b]annotate", console=out):
        pass
    assert lines(out) == ["[b]annotate: 0/1 [red]images"]


def test_a_reader_that_leaves_does_not_end_the_work(monkeypatch):
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Closed())
    with Progress(2, "images", "annotate") as progress:
        progress.advance(2)
    assert progress.done == 2


def test_say_is_one_line_on_stderr(capsys):
    say("wsol: [b]serving[/b]")
    assert capsys.readouterr() == ("", "wsol: [b]serving[/b]\n")

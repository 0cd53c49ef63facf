"""Show the progress of a task on a terminal, in a notebook or in a log, without filling any of them."""
from typing import Any as _Any
__all__ = ['EVERY', 'say', 'duration', 'progress_bar', 'Work', 'draw_history', 'make_screen']
import html, io, math, sys, time
from dataclasses import dataclass, field
from fastcore.basics import patch

def in_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    ...

def on_terminal() -> bool:
    """Whether standard error is a terminal, on which a bar can be redrawn."""
    ...
EVERY = 10

def say(text: str):
    """Write a line to standard error, where progress belongs: standard output is for results."""
    ...

def _lines(items, what, unit, total):
    ...

def duration(seconds: float) -> str:
    """A time in words."""
    ...

def progress_bar(items, what: str, unit: str='video', total: int | None=None, progress: bool=True):
    """Iterate, and show progress: with a bar if it can be redrawn, with a few lines in a log."""
    ...
COLUMNS = {'loss': ('training loss', '{:.3f}', 'loss {:.3f}'), 'eval_loss': ('validation loss', '{:.3f}', ''), 'eval_accuracy': ('validation accuracy', '{:.3f}', 'validation accuracy {:.3f}'), 'clips_per_second': ('clips per second', '{:.1f}', '{:.1f} clips/s'), 'data_wait': ('waiting for data', '{:.0%}', 'waiting {:.0%}')}

def epoch_rows(history: list) -> dict:
    """The values that were logged in each epoch."""
    ...

@dataclass
class Work:
    """A task that takes a while, and its progress."""
    what: str
    total: int
    epochs: int = 0
    done: int = 0
    inner: str = ''
    history: list = field(default_factory=list)
    start: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        ...

    def line(self, epoch: int) -> str:
        """The line of an epoch."""
        ...

    @property
    def epoch(self) -> int:
        """The current epoch, or the one whose model is being validated."""
        ...

    def where(self) -> str:
        """The progress in words."""
        ...

    def latest(self) -> str:
        """The latest value of each quantity, from whichever epoch."""
        ...

    def summary(self) -> str:
        """The result in one sentence."""
        ...

class LogScreen:
    """Plain lines, at most one every ten seconds apart from the last."""
    held: _Any
    last: _Any

    def start(self, work: Work):
        """Begin; the first epoch's line may come at once."""
        ...

    def show(self, work: Work):
        """Write the line that was held back, or the progress within a long epoch."""
        ...

    def keep(self, work: Work, line: str):
        """Write an epoch's line, now or when ten seconds have passed."""
        ...

    def _write(self, line):
        ...

    def end(self, work: Work):
        """Write the last line of a training run."""
        ...
BAR = '{desc} |{bar}| {percentage:3.0f}% {elapsed}<{remaining}{postfix}'

class TerminalScreen:
    """One bar at the bottom, and above it the lines that stay."""
    bar: _Any
    shown: _Any

    def start(self, work: Work):
        """Draw the bar."""
        ...

    def show(self, work: Work):
        """Move the bar."""
        ...

    def keep(self, work: Work, line: str):
        """Write a line above the bar."""
        ...

    def end(self, work: Work):
        """Remove the bar."""
        ...

class Page:
    """A table of epochs, with a bar as long as the work goes on."""
    over: bool
    work: Work

    def __init__(self, work: Work, over: bool=False):
        ...

    def __repr__(self):
        ...

    def _says(self):
        ...

    def _table(self):
        """The rows as HTML."""
        ...

    def _repr_html_(self):
        ...

def draw_history(history: list, axs, epochs: int | None=None):
    """Draw the training loss and the validation accuracy by epoch."""
    ...

def history_png(work: Work) -> bytes:
    """The curves as a picture, drawn without pyplot, so that open figures are not affected."""
    ...

class NotebookScreen:
    """A table and curves that grow."""
    drawn: _Any
    page: _Any
    shown: _Any

    def start(self, work: Work):
        """Begin; nothing is shown yet."""
        ...

    def show(self, work: Work):
        """Update the table, and now and then the curves."""
        ...

    def keep(self, work: Work, line: str):
        """Update both."""
        ...

    def end(self, work: Work):
        """Show the last state, which the notebook stores."""
        ...

    def _put(self, name, what):
        """Show something, or update it if it is already shown."""
        ...

    def _draw(self, work):
        ...

def make_screen():
    """The display for the current environment."""
    ...

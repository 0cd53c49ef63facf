"""See what is in a data set before you train with it: counts, sizes, moving pictures of every class, broken files, and suspected leaks side by side."""
from typing import Any as _Any
__all__ = ['Shot', 'shot_gif', 'Album', 'Look', 'look']
import html, os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
import numpy as np
from fastcore.basics import patch
from ..clips import ClipSpec
from ..data import video_table
from .alike import alike_pairs, alike_table, all_looks, Looks, proposed_groups
from .audit import audit_leakage, check_videos, crossing_pairs, Leakage
from .each import each_file, FileTask
from .machine import atomic_write, tell
from .page import gif_uri, page_html
from .progress import duration
from .report import gallery, map_drawer
from .tables import is_video, overlap_text, parse_name, recordings, sources, TIMES, video_files
from .video import probe_video, read_frames
from .videofolder import metadata_files

def _complete(table):
    """A table with all columns as text, because a user's own may have only some."""
    ...

def _table(data):
    """The videos to look at. Raises an error of one sentence if there are none."""
    ...
_SECONDS, _FRAMES, _WIDE, _COLORS = (2.0, 8, 112, 32)

@dataclass(frozen=True)
class Shot:
    """What to show of a video."""
    source: object
    at: float | None = None
    flip: bool = False

    def __str__(self):
        ...

def shot_gif(shot: Shot) -> str:
    """A moment of a video as a small GIF. Raises `VideoError`."""
    ...

class Album:
    """Moving pictures for a page, until their bytes are used up."""
    left: int
    made: _Any
    size: _Any
    workers: int | None

    def __init__(self, left: int, workers: int | None=None):
        ...

    def add(self, shots: list, share: float=1.0) -> bool:
        """Make pictures, as far as there is room."""
        ...

    def img(self, shot: Shot) -> str:
        """A picture, if it was made."""
        ...

    def style(self) -> str:
        """The pictures, each of them once."""
        ...

def _say(x):
    ...

def _many(n, what):
    ...

def _part(key, title, body):
    ...

def _pages(items, name, per=12):
    """Items in parts that open one at a time; the first is open."""
    ...

def _bars(counts):
    """A table of names and numbers with bars."""
    ...

def _common(values, most=8):
    """How often each value occurs, the rest together."""
    ...

def _lengths(seconds):
    """How many videos have which length, in at most ten steps."""
    ...

def _facts(infos):
    """Lengths, sizes, frame rates and codecs."""
    ...

def _classes(table):
    """How many videos each class has in each split, and how many groups."""
    ...

def _listed(title, lines, most=100):
    """Some lines under a title, folded if there are many."""
    ...

def _problems(table, good, bad, leaks, spec):
    """What the check of the files and the audit found, apart from look-alikes. Places begin below the common folder."""
    ...

@dataclass
class Look:
    """What is in a data set and what is wrong with it; shows itself in a notebook as a page."""
    table: 'pd.DataFrame' = field(repr=False)
    infos: list = field(repr=False)
    good: 'pd.DataFrame' = field(repr=False)
    bad: 'pd.DataFrame' = field(repr=False)
    pairs: 'pd.DataFrame' = field(repr=False)
    leaks: Leakage
    groups: 'pd.Series' = field(repr=False)
    scores: object = field(default=None, repr=False)
    page: str = field(default='', repr=False)

    def _repr_html_(self):
        ...

    @property
    def merged(self) -> list:
        """The proposed recordings that join videos which had different groups, or no groups."""
        ...

    def save_groups(self, file) -> Path:
        """Write the proposed recordings as a list for `video_table`. If a split cuts through one, splits are left out."""
        ...

    def _pair_shots(self, rows):
        """What to show of pairs."""
        ...

    def _leaks(self, album, most=60):
        """The look-alikes across splits or labels, side by side."""
        ...

    def _recordings(self, album, most=40, shown=6):
        """The proposed recordings."""
        ...

    def _strips(self, album, shown=4):
        """For each class, videos from different recordings."""
        ...

    def _opinions(self, model, n, device, revision):
        """A model's predictions for the videos."""
        ...

    def _summary(self):
        """One line per part of the page."""
        ...

    def write(self, title: str, spec: ClipSpec, size: int, model=None, n: int=12, workers: int | None=None, device: str | None=None, revision: str | None=None) -> str:
        """Put the page together, the most important pictures first."""
        ...

def _pair(row, shots, album):
    """Two videos side by side."""
    ...

def _strip(sources_, names, album, title):
    """Some videos in a row."""
    ...

def _method(model, device, revision):
    """The faster kind of map if it works with the model, else the one that works with every model."""
    ...
_STYLE = 'h3{font-size:1rem;margin:.6rem 0 .2rem}figure{margin:4px;display:inline-block;vertical-align:top;\nwidth:124px;font-size:12px}figure.pair{width:auto;max-width:290px}\n.pair td{text-align:left;vertical-align:top;width:124px;white-space:normal;overflow-wrap:anywhere;border:0}\n.s{white-space:nowrap;margin:0}.s figure{white-space:normal}.f{display:flex;flex-wrap:wrap;gap:0 1.5rem}.h td{border:0}\n.h td:first-child,th:first-child,td:first-child{text-align:left}\n.b{width:4rem}.b i{display:block;height:.7em;background:#4a7fb5}\nsummary{cursor:pointer;padding:2px 0}ul{margin:.2rem 0}nav li{margin:2px 0}'

def _writable(file):
    """Raise an `OSError` of one sentence if a file could not be written."""
    ...

def _spare_inputs(data, table, files):
    """Raise `ValueError` if an output file is also an input, or is named twice."""
    ...

def _to_judge(model, table, device, revision):
    """The videos by which a model is judged: the test split, or all. Raises `ValueError` if it cannot be judged."""
    ...

def _scored(model, table, bad, workers, device, revision, progress):
    """Scores of the videos that can be used, or nothing if none can."""
    ...

def look(data, out=None, model=None, suggest_groups=None, check: str | None=None, size: int=18000000, n: int=12, workers: int | None=None, device: str | None=None, revision: str | None=None, progress: bool=True) -> Look:
    """Look at a data set: counts, sizes, moving pictures, broken files, suspected leaks and proposed recordings."""
    ...

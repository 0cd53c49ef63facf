"""Measure for a few seconds how fast training is on this machine, work out how long each possible plan would take, choose the best one that fits into a given time, and keep to that time while it runs."""
from typing import Any as _Any
__all__ = ['UNITS', 'FIXED', 'CAUTION', 'SPARE', 'ENOUGH', 'STEPS', 'MOST', 'SHARES', 'MARGIN', 'seconds_of', 'Measured', 'Plan', 'price', 'all_plans', 'worth', 'choose', 'repeated', 'in_turn', 'measure', 'Deadline']
import logging, math, os, re, time
from dataclasses import dataclass, field
import numpy as np, torch
from fastcore.basics import patch
from transformers import TrainerCallback
from ..clips import ClipDataset, ClipSpec
from .families import check_change, clip_shape
from .fitting import fit_linear
from .lora import add_lora, logger as lora_messages
from .machine import half_precision, process_state, tell
from .progress import duration
from .recipes import Recipe
from .trainer import clip_flops
from .video import VideoError
from ..model import load_model
from ..transforms import train_transform
UNITS = {'': 1, 's': 1, 'm': 60, 'min': 60, 'h': 3600}

def seconds_of(budget) -> float:
    """Parse a time. Raises `ValueError` if it is not one, or not above zero."""
    ...

@dataclass(frozen=True)
class Measured:
    """What a backbone costs on this machine with these videos, in seconds."""
    recipe: Recipe
    videos: tuple
    read: float
    forward: float
    steps: dict
    check: float = 0.0
    load: float = 0.0
    save: float = 0.0
    shared: bool = True
    sizes: tuple = ((None, None, 1.0, 1),)
    gflop: float = 0.0
    where: str = ''
    classes: int = 2

    def clip(self, compute: float) -> float:
        """The time for reading a clip and computing with it."""
        ...

    @property
    def enough(self) -> int:
        """The fewest epochs that are not a hasty training: `ENOUGH`, or more, so that they have `STEPS` steps."""
        ...

@dataclass(frozen=True)
class Plan:
    """What to train, how long, and what that takes."""
    method: str
    recipe: Recipe
    measured: Measured | None = None
    epochs: int = 0
    clips: int = 1
    share: float = 1.0
    size: int = 0
    seconds: float = 0.0
    budget: float = math.inf
    until: float | None = None
    check: str | None = None
    spec: ClipSpec | None = None
    table: 'pd.DataFrame|None' = field(default=None, repr=False, compare=False)

    @property
    def features_until(self) -> float | None:
        """When a probe must have computed its features; None: no limit."""
        ...

    @property
    def after(self) -> float:
        """The time reserved for what comes after the test: writing the model folder, and the unforeseen."""
        ...
FIXED = 3.0
CAUTION = 1.3
SPARE = 0.02

def price(m: Measured, method: str, epochs: int, clips: int, share: float, size: int) -> float:
    """How long a plan takes."""
    ...
ENOUGH, STEPS = (5, 100)
MOST = 60
SHARES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1)

def all_plans(m: Measured) -> list:
    """All possible plans for a backbone."""
    ...

def worth(plan: Plan, rank: int=0) -> tuple:
    """The criteria by which plans are compared, the most important first."""
    ...
MARGIN = 1.15

def choose(found: list, seconds: float) -> Plan:
    """The best plan that fits. Raises `ValueError`, which names the shortest possible time, if none does."""
    ...

def _enough_videos(plan):
    """Whether a part of the videos is large enough: at least two training videos per class."""
    ...

def repeated(f, limit: float) -> float:
    """The median time of a function's calls, without the first if there are more."""
    ...

def _pass(net, spec, train):
    """A function that sends `n` black clips through a network, forward or in a training step."""
    ...

def _per_clip(run, batch, limit):
    """Seconds per clip: the shortest of those for one clip and for batches, as far as time and memory allow."""
    ...

def _step_times(net, spec, recipe, methods, limit, forward):
    """Seconds per clip of a training step with each method; LoRA comes last, because it changes the network."""
    ...

def _fit_time(net, classes, train, limit):
    """Seconds per clip to fit a linear probe, on noise, which takes longest."""
    ...

def _gflop(net, spec):
    """Billions of operations of a forward pass, counted without computing."""
    ...

def in_turn(table, seed: int=0) -> 'pd.DataFrame':
    """Order videos so that any first part of them contains each split and class in proportion."""
    ...

def _read_time(table, spec, recipe, limit):
    """Seconds to read a random clip in one process; 0 if no video can be read, which the check will report."""
    ...

def _counts(table):
    """Numbers of training, validation and test videos; without splits, those after a random split."""
    ...

def _sizes(config, recipe):
    """(frames, size, share of the tokens, frames left out) of the clips that a model can take, its own first."""
    ...

def measure(recipe: Recipe, table, methods: tuple, limit: float=5.0, workers: int | None=None) -> Measured:
    """Measure with a few videos and clips on this machine."""
    ...

def _save_time(net):
    """Seconds for a checkpoint: three numbers per weight, on a disk that writes 100 MB per second."""
    ...

class Deadline(TrainerCallback):
    """Stops training in time for the validation, the test and the model folder."""
    after: _Any
    begin: _Any
    clip: _Any
    last: _Any
    save: _Any
    steps: _Any
    until: _Any
    usual: _Any

    def __init__(self, plan: Plan):
        ...

    def left(self) -> float:
        """How much of the budget is left."""
        ...

    @property
    def step(self) -> float:
        """The median time of the last steps; the planned time until there are five, because the first ones are slow."""
        ...

    def rest(self, caution: float=CAUTION) -> float:
        """The time that is needed after training stops, if the machine stays as slow as in the last steps."""
        ...

    def on_train_begin(self, args, state, control, **kwargs):
        """Start the clock of the learning rate; a resumed run already knows how long its validation takes."""
        ...

    def on_epoch_begin(self, args, state, control, **kwargs):
        """Start timing the first step."""
        ...

    def on_step_end(self, args, state, control, optimizer=None, **kwargs):
        """Lower the learning rate with the time, and stop if another step would not fit."""
        ...

    def on_epoch_end(self, args, state, control, **kwargs):
        """Leave out a validation that does not fit any more."""
        ...

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        """Note how long a validation takes."""
        ...

    def on_save(self, args, state, control, **kwargs):
        """Note how long a checkpoint takes, which is written right after the validation."""
        ...

    def affordable(self, dataset: ClipDataset) -> ClipDataset:
        """What can be tested in the time that is left."""
        ...

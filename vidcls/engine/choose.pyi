"""Decide what to train, from which checkpoint and for how long, from what this machine does in a few seconds, and say why."""
from typing import Any as _Any
__all__ = ['UNITS', 'FIXED', 'CAUTION', 'SPARE', 'ENOUGH', 'STEPS', 'MOST', 'SHARES', 'MARGIN', 'KINETICS', 'SMALL', 'KEPT', 'tell', 'seconds_of', 'Measured', 'Plan', 'price', 'all_plans', 'worth', 'choose', 'fetch', 'shipped_worth', 'no_start', 'machine_method', 'with_method', 'repeated', 'in_turn', 'measure', 'begun', 'as_begun', 'make_plan', 'Deadline', 'in_time']
import csv, json, logging, math, os, re, threading, time
from dataclasses import dataclass, replace
from importlib import util
from pathlib import Path
import numpy as np, torch
from fastcore.basics import patch
from transformers import TrainerCallback
from ..clips import ClipDataset, ClipSpec
from ..data import data_root, label_maps, video_table
from .archive import hub_reason
from .families import check_change, clip_shape, published_licence, read_config
from .fitting import fit_linear
from .lora import add_lora
from .machine import get_device, half_precision, process_state
from .progress import duration
from .recipes import AUTO, Recipe
from .record import checkpoint_path, load_record, SHIPPED
from .trainer import clip_flops
from .video import VideoError
from ..model import load_model, weights_folder
from ..transforms import train_transform
logger = logging.getLogger('vidcls.engine.choose')

def tell(text: str):
    """Log a choice so that it is seen: as a warning where messages are not shown."""
    ...
UNITS = {'': 1, 's': 1, 'm': 60, 'min': 60, 'h': 3600}

def seconds_of(budget) -> float:
    """Read a time. Raises `ValueError` if it is not one, or not above zero."""
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
        """A clip, read and computed."""
        ...

    @property
    def enough(self) -> int:
        """How many epochs are not a hasty training: a few, and with few videos enough for some steps."""
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

    @property
    def features_until(self) -> float | None:
        """When a probe must have its features; None: no hurry."""
        ...

    @property
    def after(self) -> float:
        """What comes after training and test: the model folder, and what nobody plans for."""
        ...
FIXED = 3.0
CAUTION = 1.3
SPARE = 0.02

def price(m: Measured, method: str, epochs: int, clips: int, share: float, size: int) -> float:
    """What a plan takes."""
    ...
ENOUGH, STEPS = (5, 100)
MOST = 60
SHARES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1)

def all_plans(m: Measured) -> list:
    """Everything that could be done with a backbone."""
    ...

def worth(plan: Plan, rank: int=0) -> tuple:
    """The order of plans."""
    ...
MARGIN = 1.15

def choose(found: list, seconds: float) -> Plan:
    """The best plan for some time. Raises `ValueError`, which names the least time, if there is none."""
    ...

def _enough_videos(plan):
    """A part of the videos must still be worth the name: two per class for training."""
    ...
KINETICS = ('MCG-NJU/videomae-base-finetuned-kinetics', 'MCG-NJU/videomae-small-finetuned-kinetics')

def fetch(checkpoint: str, seconds: float | None=None, revision: str | None=None) -> str | None:
    """Fetch a checkpoint, or find it in the cache. Raises `OSError` if neither is possible."""
    ...

def shipped_worth(name: str='videomae-stick') -> str:
    """What a shipped checkpoint is worth for real videos, from its `real.csv`."""
    ...

def no_start(why: str) -> OSError:
    """The sentence for somebody without network and without a checkpoint."""
    ...
SMALL = 6 * 2 ** 30

def machine_method() -> tuple:
    """What suits this machine."""
    ...

def with_method(recipe: Recipe, method: str | None) -> Recipe:
    """A recipe whose LoRA rank fits the method. Raises `ValueError` for a method that does not exist."""
    ...

def repeated(f, limit: float) -> float:
    """The median time of a function's calls, without the first if there are more."""
    ...

def _pass(net, spec, train):
    """A function that sends `n` black clips through a network, forward or in a training step."""
    ...

def _per_clip(run, batch, limit):
    """Seconds per clip, alone and in the largest batches for which there are time and memory."""
    ...

def _step_times(net, spec, recipe, methods, limit, forward):
    """Seconds of a clip in a training step of each method; LoRA comes last, because it changes the network."""
    ...

def _fit_time(net, classes, train, limit):
    """Seconds of a clip in the fit of a linear probe, on noise, which is the slowest."""
    ...

def _gflop(net, spec):
    """Billions of operations of a forward pass, counted without computing."""
    ...

def in_turn(table, seed: int=0) -> 'pd.DataFrame':
    """Order videos so that any first part of them has its share of every split and class."""
    ...

def _read_time(table, spec, recipe, limit):
    """Seconds to read a random clip in one process; 0 if no video can be read, which the check will say."""
    ...

def _counts(table):
    """Training, validation and test videos; those that will be, where there are no splits."""
    ...

def _sizes(config, recipe):
    """(frames, size, share of the tokens, frames left out) of the clips that a model can take, its own first."""
    ...

def measure(recipe: Recipe, table, methods: tuple, limit: float=5.0, workers: int | None=None) -> Measured:
    """Try a few videos and a few clips on this machine."""
    ...

def _save_time(net):
    """Seconds for a checkpoint: three numbers per weight, on a disk that writes 100 MB per second."""
    ...

def _described(m):
    """Where a network comes from and what it costs, in two sentences."""
    ...

def _note_stick(recipe):
    """Say so if somebody's own videos meet the checkpoint of the stick figures."""
    ...
WORDS = dict(full='training all weights of', lora='training small corrections (LoRA) of', probe='training a linear classifier on frozen features of')

def _own_start(recipe, method, table, workers):
    """The default for somebody's own videos."""
    ...

def _methods(recipe, method):
    """What a budget may choose from."""
    ...

def _at_hand(recipe, seconds):
    """Recipes for the checkpoints that can be had in a part of the time, the best one first."""
    ...
KEPT = ('epochs', 'eval_clips', 'lora_rank', 'num_frames', 'size', 'sampling_rate', 'learning_rate')

def begun(folder) -> dict:
    """What an interrupted or finished run in a folder is."""
    ...

def as_begun(recipe: Recipe, was: dict) -> Recipe:
    """A recipe that goes on with what an earlier plan has decided."""
    ...

def _planned(plan):
    """The recipe of a plan."""
    ...

def _why(plan, given):
    """The reason for a plan, in half a sentence."""
    ...

def _say_plan(plan, given, elapsed):
    """Tell what was measured, what was chosen, and why."""
    ...

def _budgeted(recipe, method, table, seconds, start, was, check, workers):
    """Measure, choose and tell."""
    ...

def _measuring(seconds):
    """How long to measure: a longer run deserves a better forecast."""
    ...

def _again(m, method):
    """The plan of an interrupted training."""
    ...

def make_plan(recipe: Recipe, method: str | None=None, budget=None, start: float | None=None, was: dict | None=None, check: str | None=None, workers: int | None=None, progress: bool=True) -> Plan:
    """Decide what a fine-tuning does, and tell it. Raises `OSError` without a start, `ValueError` without enough time."""
    ...

class Deadline(TrainerCallback):
    """Ends a training in time for its validation, its test and its model folder."""
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
        """A step, by the last ones; as planned while there are few, because the first ones start up."""
        ...

    def rest(self, caution: float=CAUTION) -> float:
        """What still happens after a training is stopped, if the machine is as slow as in the last steps."""
        ...

    def on_train_begin(self, args, state, control, **kwargs):
        """Start the clock of the learning rate; a training that goes on knows how long its validation takes."""
        ...

    def on_epoch_begin(self, args, state, control, **kwargs):
        """The time of a step counts from here."""
        ...

    def on_step_end(self, args, state, control, optimizer=None, **kwargs):
        """Lower the learning rate with the time, and stop if another step would be too many."""
        ...

    def on_epoch_end(self, args, state, control, **kwargs):
        """Leave out a validation that does not fit any more."""
        ...

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        """Note how long a validation takes."""
        ...

    def on_save(self, args, state, control, **kwargs):
        """Note how long a checkpoint takes, which follows the validation."""
        ...

    def affordable(self, dataset: ClipDataset) -> ClipDataset:
        """What can be tested in the time that is left."""
        ...

def in_time(trainer) -> ClipDataset:
    """The test videos; with a deadline, as many as it allows."""
    ...

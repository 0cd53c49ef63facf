"""Fix what transformers' `Trainer` gets wrong with video, one method at a time, each with its reason and its check."""
from typing import Any as _Any
__all__ = ['batch_share', 'training_arguments', 'add_drop_path', 'clip_flops', 'matmul_speed', 'TrainingProgress', 'SoftTracker', 'check_trackers', 'ClipTrainer', 'fit_batch', 'batch_arguments', 'warn_spinning']
import logging, math, os, re, sys, time
from functools import lru_cache, partial
from importlib import util
import torch
from fastcore.basics import patch
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK, PrinterCallback
from transformers.trainer_utils import has_length
from ..clips import ClipSpec, import_pytorchvideo, normalize
from .families import family_of
from .lora import has_lora, load_learned, save_learned
from .machine import get_device, half_precision, no_bar, prepare_workers, process_state, usable_precision
from .progress import make_screen, Work
from .recipes import Recipe
logger = logging.getLogger('vidcls.engine.trainer')

def batch_share(batch: int) -> int:
    """This process' share of a batch. Raises `ValueError` if the batch cannot be divided evenly."""
    ...

def training_arguments(recipe: Recipe, output_dir, n_train: int, workers: int | None=None, **kwargs) -> TrainingArguments:
    """The guide's arguments, from a recipe."""
    ...

def layer_groups(net, groups: list, decay: float) -> list:
    """Split parameter groups by layer: embeddings lowest, the head highest."""
    ...

def _dropped(rate):
    """A hook that drops a branch for some clips of the batch at random, and scales it up for the others."""
    ...

def add_drop_path(net, rate: float) -> list:
    """Leave out branches of layers at random in training. Raises `ValueError` if the family does not allow it."""
    ...

def clip_flops(net, spec: ClipSpec, **inputs) -> float:
    """The operations for one clip in training: a forward pass, and twice as many for the backward pass."""
    ...

@lru_cache
def matmul_speed(device: str, dtype: torch.dtype) -> float:
    """The speed of a large matrix product on this device, with which models are compared."""
    ...

class TrainingProgress(TrainerCallback):
    """One bar and a line per epoch, a table and curves, or a few lines in a log: whatever fits."""
    screen: _Any
    work: _Any
    screen = work = None

    def on_train_begin(self, args, state, control, **kwargs):
        """Start the bar of a training; one that goes on starts in the middle."""
        ...

    def _begin(self, work):
        ...

    def close(self):
        """Show the last state, also of work that was stopped."""
        ...

    def on_step_end(self, args, state, control, **kwargs):
        """Move the bar."""
        ...

    def on_prediction_step(self, args, state, control, eval_dataloader=None, **kwargs):
        """Count the batches of an evaluation or a prediction."""
        ...

    def on_epoch_end(self, args, state, control, **kwargs):
        """The line of an epoch without validation."""
        ...

    def on_evaluate(self, args, state, control, **kwargs):
        """The line of an epoch with one, or the end of an evaluation by itself."""
        ...

    def on_predict(self, args, state, control, **kwargs):
        """The end of a prediction, unless it is part of a training."""
        ...

    def on_train_end(self, args, state, control, **kwargs):
        """The end, in one sentence."""
        ...

class SoftTracker:
    """Wraps a tracker's callback, so that the training continues if it fails."""
    failed: _Any
    tracker: _Any

    def __init__(self, tracker):
        ...

    def __getattr__(self, name):
        ...

    def _pass(self, part, *args, **kwargs):
        ...

def check_trackers(names):
    """Raise `ValueError` for a tracker that is unknown or not installed."""
    ...

class ClipTrainer(Trainer):
    """A `Trainer` that takes clips as bytes, really reloads its checkpoints, and says what it waits for."""
    _clips: _Any
    _flops: _Any
    _mix: _Any
    _since: _Any
    _waited: _Any
    is_in_train: _Any
    layer_decay: float
    spec: ClipSpec

    def __init__(self, *args, spec: ClipSpec, layer_decay: float=1.0, mix: bool=False, **kwargs):
        ...

    def _lap(self):
        ...

    def _prepare_inputs(self, inputs):
        ...

    def _mixed(self, clips, labels):
        """Blended clips [B, T, C, H, W] and soft labels [B, classes]; all zero for those that do not count."""
        ...

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """`Trainer`'s loss, and cross entropy with soft labels for blended clips."""
        ...

    def create_optimizer(self, model=None):
        """`Trainer`'s optimizer, with smaller steps for the lower layers (Clark et al. 2020; BEiT and VideoMAE do it too)."""
        ...

    def get_train_dataloader(self):
        """`Trainer`'s loader; accelerate forgets to tell a shared data set which epoch it is."""
        ...

    def _get_dataloader(self, *args, **kwargs):
        """`Trainer`'s; starting processes takes no random numbers from the model, or a resumed run would differ."""
        ...

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """The batches of a step; clips that fill up the last one do not count, and the waiting is timed."""
        ...

    def _mean_loss(self, logits, labels):
        """The loss of gathered answers, each of which counts once."""
        ...

    def evaluation_loop(self, *args, metric_key_prefix='eval', **kwargs):
        """`Trainer`'s; with several processes, the loss does not count the clips that fill up the last batch."""
        ...

    def _clip_flops(self):
        ...

    def _machine(self):
        ...

    def log(self, logs, *args, **kwargs):
        """Add clips per second, the share of waiting, and the model FLOPs utilisation."""
        ...

    def _untimed(self, f, *args, **kwargs):
        ...

    def _save_checkpoint(self, *args, **kwargs):
        ...

    def _save_rng_state(self, output_dir):
        ...

    def _save(self, output_dir=None, state_dict=None):
        ...

    def _alone(self, f, *args, **kwargs):
        """Call `f`, then end the processes that read clips, for which the garbage collector would wait."""
        ...

    def evaluate(self, *args, **kwargs) -> dict:
        """As `Trainer`, but its time does not count as training time."""
        ...

    def train(self, *args, **kwargs):
        """As `Trainer`; the processes that read clips end with it."""
        ...

    def predict(self, *args, **kwargs):
        """As `Trainer`; the processes that read clips end with it."""
        ...

    def _reload(self, folder):
        """Weights of a checkpoint, through `from_pretrained`, which knows VideoMAE's old names."""
        ...

    def _load_best_model(self):
        ...

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        ...

def _try_step(net, spec, clips, half):
    """A training step on black clips, with memory reserved for the optimizer."""
    ...

def fit_batch(net, spec: ClipSpec, batch: int, half: str | None=None) -> tuple:
    """The largest part of a batch that fits into the device's memory. Raises `MemoryError` if one clip does not."""
    ...

def batch_arguments(net, spec: ClipSpec, recipe: Recipe) -> dict:
    """The arguments that make a recipe's batch fit into a GPU; empty on other devices. Says what it changed."""
    ...

def warn_spinning(args):
    """Name what slows down a training on the CPU beside processes that read clips."""
    ...

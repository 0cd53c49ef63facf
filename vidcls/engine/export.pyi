"""Write a model as one ONNX file, compare it with the original on real clips before anybody uses it, and keep its weights in eight bits only if that pays off."""
from typing import Any as _Any
__all__ = ['FromBytes', 'write_graph', 'all_logits', 'parity', 'time_nets', 'why_dropped', 'Exported', 'export_onnx']
import json, logging, shutil, tempfile, time, warnings
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib import metadata, util
from pathlib import Path
import numpy as np, torch
from fastcore.basics import patch
from torch import nn
from ..clips import ClipSpec, normalize, video_probabilities
from ..data import data_root, sample_videos, video_table
from .batch import fingerprint
from .finder import RULE
from .inside import look_inside
from .loading import model_folder
from .machine import clip_loader, home, tell, versions
from .progress import progress_bar
from .recipes import Recipe
from .record import load_record, RECORD, saved_clips
from .runtime import MODEL, OnnxConfig
from ..infer import load_trained, run_inference
from ..scoring import paired_interval, score, test_part, VideoViews
EXTRA = ('onnx', 'onnxscript', 'onnxruntime')

class FromBytes(nn.Module):
    """A classifier with its normalisation inside."""
    net: _Any
    spec: ClipSpec

    def __init__(self, net, spec: ClipSpec):
        ...

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """The logits."""
        ...

@contextmanager
def _quiet():
    """No warnings or messages of the exporter."""
    ...

def _cause(e):
    """The first line of the message of an error's original cause."""
    ...

def write_graph(net, spec: ClipSpec, file):
    """Write a network as ONNX: bytes [batch, T, C, H, W] in, logits [batch, classes] out. Raises `ValueError`."""
    ...

def _need_extra():
    """Raise `ImportError` of one sentence if a package of the extra is missing."""
    ...
PROCESSORS = ('preprocessor_config.json', 'video_preprocessor_config.json')

def _write_folder(net, spec, source, new):
    """Write the exported network and what belongs to it into a new folder."""
    ...

def _check_batches(net, exported, spec, tolerance):
    """Raise `ValueError` unless the graph takes any number of clips, with the same results as the network."""
    ...

def all_logits(nets: dict, table, spec: ClipSpec, num_clips: int=1, progress: bool=True) -> dict:
    """The logits of several networks for the same clips. Raises `VideoError` for a video that cannot be read."""
    ...

def parity(ours: np.ndarray, theirs: np.ndarray, num_clips: int, tolerance: float=0.0001) -> float:
    """How far two networks are apart. Raises `ValueError` if that is too far, or if a video has another label."""
    ...

def _generated(record):
    """The generated data that a model was trained on; None if it was trained on other videos."""
    ...

def _videos(data, record, progress):
    """The table of videos to compare on, in words where they come from, and whether they have the model's labels."""
    ...

def time_nets(nets: dict, spec: ClipSpec, rounds: int=15) -> dict:
    """Times for one clip, in rounds in which the networks alternate. The first round, a warm-up, is not counted."""
    ...

def _quantise(new, smaller):
    """Copy an exported folder with the weights of its matrix products in eight bits."""
    ...

def why_dropped(gain: tuple, speedup: np.ndarray, most_lost: float=0.02) -> str:
    """Why a network with eight-bit weights is not kept, in a few words."""
    ...

@dataclass
class Exported:
    """An exported model: where it is, and what was measured before it was kept."""
    model_dir: Path
    about: dict

    @property
    def file(self):
        """The `model.onnx`, which you can pass to every function that expects a model."""
        ...

    def rows(self) -> list:
        """The measurements, in words."""
        ...

    def __str__(self):
        ...

    def _repr_markdown_(self):
        ...

def _int8_lines(about):
    """The text about eight-bit weights."""
    ...

def _place(model, folder, out):
    """Where the exported model goes. Raises `OSError` or `ValueError` for an unsuitable place."""
    ...

@contextmanager
def _new_folder(out):
    """A folder for temporary folders beside `out`; at the end, what is in its folder `new` becomes `out`."""
    ...

def _compare_int8(table, logits, net, took, smaller, most_lost):
    """The measurements of the eight-bit network; `dropped` is the reason why it is not kept."""
    ...

def _bytes(folder):
    ...

def _measure(tmp, net, spec, videos, num_clips, int8, most_lost, tolerance, progress):
    """Compare the networks in a temporary folder, and replace the float one by the eight-bit one if that pays off."""
    ...

def _loaded(model, revision):
    """The folder of a model to export, the network in float32, and the clips that it expects."""
    ...

def _check_numbers(most_lost, num_clips, tolerance):
    """Raise `ValueError` for a number that makes no sense."""
    ...

def _check_labels(table, net, labelled):
    """Raise `ValueError` if the accuracy of eight-bit weights cannot be measured on these videos."""
    ...

def export_onnx(model, out=None, data=None, int8: bool=False, most_lost: float=0.02, num_clips: int | None=None, tolerance: float=0.0001, revision: str | None=None, progress: bool=True) -> Exported:
    """Write a model as one ONNX file, if it gives the same answers. Raises `ValueError` and leaves nothing if not."""
    ...

def _versions():
    ...

"""Cut sixteen frames out of a video by its own time stamps, the same way for training, evaluation and inference, and several times faster than the well-known guide."""
from typing import Any as _Any
__all__ = ['ClipSpec', 'View', 'clip_starts', 'eval_views', 'random_view', 'pick_frames', 'clip_frames_at', 'apply_view', 'view_of_arrays', 'normalize', 'read_views', 'read_clip', 'repeated_frames', 'ClipDataset', 'video_probabilities', 'import_pytorchvideo', 'guide_transform', 'guide_dataset']
import html, json, math, os, sys, warnings
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
import numpy as np, torch
from fastcore.basics import patch
from scipy.special import softmax
from .data import label_maps
from vidcls.engine.families import check_change, clip_shape, family_of, pixel_scale, read_config, read_processor, seen_part
from .engine.tables import sources
from vidcls.engine.video import frames_between, in_span, probe_video, promised_times, to_rgb, Upright, VideoError, VideoInfo

@dataclass(frozen=True)
class ClipSpec:
    """What a clip is: the one definition that training, evaluation and inference share."""
    num_frames: int = 16
    seconds: float = 64 / 30
    size: int = 224
    resize: str = 'crop'
    mean: tuple = (0.485, 0.456, 0.406)
    std: tuple = (0.229, 0.224, 0.225)
    input_key: str = 'pixel_values'
    pad: bool = True
    part: float = 1.0

    def __post_init__(self):
        ...

    def _repr_markdown_(self):
        ...

    def save(self, folder):
        """Write `clip_spec.json` into `folder`."""
        ...

    @classmethod
    def load(cls, folder) -> ClipSpec:
        """The `ClipSpec` that was saved with a model. Raises `FileNotFoundError` if there is none."""
        ...

    @classmethod
    def from_checkpoint(cls, checkpoint, recipe, revision=None) -> ClipSpec:
        """Frames, size, mean and std from a checkpoint; the time span from the recipe."""
        ...

def _check_spec(s):
    """Raise `ValueError` if no clip can be made to a spec."""
    ...

@dataclass(frozen=True)
class View:
    """One of a video's clips: when, where, mirrored or not."""
    start: float = 0.0
    crop: tuple = (0.5, 0.5, 1.0)
    flip: bool = False
    end: float = field(default=math.inf, repr=False)

    def span(self, spec: ClipSpec) -> tuple:
        """The time that the clip covers."""
        ...

def crop_box(view: View, height: int, width: int, spec: ClipSpec) -> tuple:
    """The rectangle of the frame that a view shows."""
    ...

def clip_starts(duration: float, seconds: float, num_clips: int=1) -> list:
    """Start times spread evenly over a video; one clip is the middle one, a short video starts at 0."""
    ...

def eval_views(info: VideoInfo, spec: ClipSpec, num_clips: int=1, num_crops: int=1) -> list:
    """The fixed views of a video for evaluation."""
    ...

def random_view(info: VideoInfo, spec: ClipSpec, rng: np.random.Generator, scale: tuple=(0.7, 0.875), flip: float=0.5) -> View:
    """A random start, square and mirroring: the guide's augmentation, decided before anything is decoded."""
    ...

def pick_frames(n: int, spec: ClipSpec) -> list:
    """Equally spaced frames, first and last included (PyTorchVideo's `uniform_temporal_subsample`)."""
    ...

def clip_frames_at(info: VideoInfo, times: list, start: float, spec: ClipSpec, end: float=math.inf) -> list:
    """Which of the frames at `times` make the clip from `start`. Raises `VideoError` if there are too few."""
    ...

def _held_picture(info, times, start, spec):
    """Index of the picture that a player still shows at `start`. Raises `VideoError` if there is none."""
    ...

def _shown_from(info, start, end):
    """When to begin reading, so that the clip shows something: earlier than `start` if no picture begins in it."""
    ...

def apply_view(frames: torch.Tensor, view: View, spec: ClipSpec) -> torch.Tensor:
    """Crop, resize (bilinear, antialiased) and flip a clip, on bytes."""
    ...

def _resized(crop, view, spec):
    ...

def view_of_arrays(frames: list, view: View, spec: ClipSpec) -> torch.Tensor:
    """`apply_view` of a list of arrays [H, W, C]: what lies outside the crop is not copied."""
    ...

def normalize(clip: torch.Tensor, spec: ClipSpec) -> torch.Tensor:
    """Bytes to what the model was trained on: divide by 255, subtract the mean, divide by the standard deviation."""
    ...

def _runs(spans):
    """Group overlapping spans (start, end) into runs: each run is decoded in one go, and what lies between is skipped."""
    ...

def _full_size(path, info, spans, spec, cache):
    """The clips of one run before crop and resize: span → arrays [H, W, C]."""
    ...

def _sized(cache):
    ...

def read_views(path, views: list, spec: ClipSpec=ClipSpec(), cache=None) -> torch.Tensor:
    """From (file, views, spec) to a tensor, for all of the library; never decodes a frame twice. Raises `VideoError`."""
    ...

def _check_views(path, views):
    """Raise `ValueError` if there is no view, or one that begins before the video."""
    ...

def read_clip(path, view: View=View(), spec: ClipSpec=ClipSpec(), cache=None) -> torch.Tensor:
    """The clip of one view; see `read_views`."""
    ...

def repeated_frames(path, views: list, spec: ClipSpec) -> int:
    """How many frames of a clip repeat others because the video has too few: the largest number over the views."""
    ...

class ClipDataset(torch.utils.data.Dataset):
    """Clips of the videos in a table: fixed views for evaluation, or random ones drawn by a transform."""
    _epoch: _Any
    cache: _Any
    label2id: _Any
    labels: _Any
    num_clips: int
    num_crops: int
    paths: _Any
    seed: int
    spec: ClipSpec
    table: _Any
    transform: _Any

    def __init__(self, table, spec: ClipSpec, label2id=None, transform=None, num_clips: int=1, num_crops: int=1, seed: int=0, cache=None):
        ...

    @property
    def views(self):
        """Clips per video."""
        ...

    def __len__(self):
        ...

    def __getitem__(self, i):
        ...

    def _fixed_clip(self, path, k):
        ...

    def _random_clip(self, path, video):
        ...

    def set_epoch(self, epoch: int):
        """Set the number of the epoch, as `Trainer` does."""
        ...

    def __repr__(self):
        ...

def _label_numbers(table, label2id):
    """Class to number, from the table if not given. Raises `ValueError` at a label that the model does not know."""
    ...

def video_probabilities(logits, views: int) -> np.ndarray:
    """Softmax for each view, averaged over the views of a video."""
    ...

def import_pytorchvideo():
    """`pytorchvideo.data` and `pytorchvideo.transforms`, which look for a torchvision module by its old name."""
    ...

def guide_transform(spec: ClipSpec, train: bool=True):
    """The transform of the well-known guide, with the same steps in the same order."""
    ...

def guide_dataset(folder, spec: ClipSpec, train: bool=True):
    """The data set of the well-known guide."""
    ...

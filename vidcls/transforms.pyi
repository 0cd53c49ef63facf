"""Take the guide's transform apart, see what each step costs, and put it together again so that it is fast and treats training and evaluation alike."""
from typing import Any as _Any
__all__ = ['ClipTransform', 'train_transform', 'eval_transform']
import random
from contextlib import contextmanager
import numpy as np, torch
from fastcore.basics import patch
from .clips import apply_view, ClipSpec, eval_views, random_view, read_clip, View
from .engine.video import probe_video, VideoInfo

class ClipTransform:
    """Chooses a view, reads it, and augments it. `ClipDataset` calls this for every clip."""
    augment: _Any
    flip: float
    scale: tuple
    spec: ClipSpec
    train: bool

    def __init__(self, spec: ClipSpec, train: bool, scale: tuple=(0.7, 0.875), flip: float=0.5, augment=None):
        ...

    def view(self, info: VideoInfo, rng: np.random.Generator=None) -> View:
        """Choose a view of a video."""
        ...

    def read(self, path, rng: np.random.Generator=None, cache=None) -> torch.Tensor:
        """Choose a view of a file and read it. Raises `VideoError`."""
        ...

    def __call__(self, frames: torch.Tensor, rng: np.random.Generator=None) -> torch.Tensor:
        """Choose a view of frames that are in memory."""
        ...

    def _augmented(self, clip, rng):
        ...

    def __repr__(self):
        ...

@contextmanager
def _seeded(seed):
    """Fix the global random states inside the block, restore them after it."""
    ...

def train_transform(spec: ClipSpec, scale: tuple=(0.7, 0.875), flip: float=0.5, augment=None) -> ClipTransform:
    """Transform for training: random start, square and mirroring, then `augment`."""
    ...

def eval_transform(spec: ClipSpec) -> ClipTransform:
    """Transform for evaluation: the middle of the video, the centre of the picture."""
    ...

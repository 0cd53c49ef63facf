"""Draw three kinds of heat maps of what a model looks at, measure which of them are right, and catch a model that reads the room instead of the person."""
from typing import Any as _Any
__all__ = ['METHODS', 'bare_clip', 'occlusion_boxes', 'occlusion_map', 'gradcam_map', 'rollout_map', 'Explanation', 'explain', 'check_method']
import base64, os, re, tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
import numpy as np, torch
from fastcore.basics import patch
from PIL import Image, ImageDraw, ImageFont
from .clips import ClipSpec, normalize
from .engine.archive import download_video
from .engine.inside import look_inside, removed
from .engine.progress import progress_bar
from .engine.video import probe_video, Segment, VideoError
from .gif import clip_grid, create_gif
from .infer import loaded, run_inference, seen_views, warn_repeats

def bare_clip(clip: torch.Tensor, fill: str='mean') -> torch.Tensor:
    """A clip that has lost everything."""
    ...

def occlusion_boxes(grid: tuple, window: int | None=None) -> list:
    """Boxes of tokens that cover the grid, overlapping in space."""
    ...

def occlusion_map(net, clip: torch.Tensor, spec: ClipSpec, which: int, fill: str='mean', window: int | None=None, batch_size: int=16, progress: bool=False) -> np.ndarray:
    """How much the probability of a class falls where parts of the clip are removed."""
    ...

def gradcam_map(net, clip: torch.Tensor, spec: ClipSpec, which: int, **_) -> np.ndarray:
    """Gradient × activation: how much the tokens of all layers speak for a class. Raises `ValueError` without tokens."""
    ...

def rollout_map(net, clip: torch.Tensor, spec: ClipSpec, which: int=0, **_) -> np.ndarray:
    """How much of each token reaches the head through attention. Raises `ValueError` where that is unknown."""
    ...
METHODS = dict(occlusion=occlusion_map, gradcam=gradcam_map, rollout=rollout_map)

@dataclass
class Explanation:
    """What a model looked at in a clip; shows itself in a notebook."""
    heat: np.ndarray = field(repr=False)
    label: str
    score: float
    method: str
    frames: torch.Tensor = field(repr=False)
    spec: ClipSpec = field(repr=False)
    video: str = ''

    @property
    def pixels(self) -> torch.Tensor:
        """The positive part of the map for each frame and pixel, divided by its largest value."""
        ...

    def overlay(self, legend: bool=True) -> torch.Tensor:
        """The clip with the map over it."""
        ...

    def save(self, file, every: int=1, colors: int=128) -> str:
        """Write the clip with the map over it as a GIF."""
        ...

    def _repr_html_(self):
        ...
_RAMP = np.array([[40, 10, 90], [150, 20, 110], [240, 100, 30], [255, 240, 80]], np.float32)

def _colours(values):
    """Colours of values from 0 to 1, in a new last dimension."""
    ...

def _legend(width, height=15):
    """A bar with the colours and what they mean, uint8 [C, height, width]."""
    ...

@contextmanager
def _at_hand(video):
    """The video; one on the web is downloaded, once for all uses. What is wrong with it is said of its address."""
    ...

def _shown_spec(video, spec, most):
    """The clip at the size at which it is shown: that of the file, at least 112 and at most `most` pixels."""
    ...

def _both_sizes(video, spec, most):
    """The middle clip as the model sees it, [1, T, C, size, size], and as it is shown, [T, C, H, W]."""
    ...

def explain(model, video, method: str='occlusion', label: str | None=None, spec: ClipSpec | None=None, device: str | None=None, revision: str | None=None, progress: bool=False, shown_size: int=224, **options) -> Explanation:
    """What the model looks at in the middle clip of a video. Raises `ValueError` if the method does not fit the model."""
    ...

def _name(video):
    ...

def _number(config, label):
    ...

def check_method(model, method: str, label: str | None=None, device: str | None=None, revision: str | None=None):
    """Raise `ValueError` if a method or a class does not fit a model, before anything is computed."""
    ...

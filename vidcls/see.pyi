"""Draw three kinds of heat maps that show what a model looks at, measure which of them you can trust, and catch a model that goes by the room instead of the person."""
from typing import Any as _Any
__all__ = ['METHODS', 'bare_clip', 'occlusion_boxes', 'class_probability', 'occlusion_map', 'gradcam_map', 'rollout_map', 'Explanation', 'map_method', 'explain', 'check_method']
import base64, tempfile
from dataclasses import dataclass, field
from pathlib import Path
import numpy as np, torch
from fastcore.basics import patch
from .clips import ClipSpec, normalize
from .engine.inside import look_inside, removed
from .engine.overlay import blended, both_sizes, class_number, heat_legend, video_name
from .engine.progress import progress_bar
from .gif import clip_grid, create_gif
from .infer import loaded, run_inference

def bare_clip(clip: torch.Tensor, fill: str='mean') -> torch.Tensor:
    """Replace the content of a clip by its mean colour or by a blurred copy."""
    ...

def occlusion_boxes(grid: tuple, window: int | None=None) -> list:
    """Boxes of tokens that cover the grid, overlapping in space."""
    ...

def class_probability(net, clips: torch.Tensor, spec: ClipSpec, which: int) -> np.ndarray:
    """The probability that a model gives a class, for each clip."""
    ...

def occlusion_map(net, clip: torch.Tensor, spec: ClipSpec, which: int, fill: str='mean', window: int | None=None, batch_size: int=16, progress: bool=False) -> np.ndarray:
    """How much the probability of a class falls if parts of the clip are removed."""
    ...

def gradcam_map(net, clip: torch.Tensor, spec: ClipSpec, which: int, **_) -> np.ndarray:
    """Gradient × activation: how much the tokens of all layers support a class. Raises `ValueError` without tokens."""
    ...

def rollout_map(net, clip: torch.Tensor, spec: ClipSpec, which: int=0, **_) -> np.ndarray:
    """How much of each token reaches the head through attention. Raises `ValueError` if this cannot be computed."""
    ...
METHODS = dict(occlusion=occlusion_map, gradcam=gradcam_map, rollout=rollout_map)

@dataclass
class Explanation:
    """What a model looked at in a clip. Displayed as a GIF in a notebook."""
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
        """The clip with the map drawn over it."""
        ...

    def save(self, file, every: int=1, colors: int=128) -> str:
        """Write the clip with the map drawn over it as a GIF."""
        ...

    def _repr_html_(self):
        ...

def map_method(name: str):
    """The function of a method. Raises `ValueError` if the name is unknown."""
    ...

def explain(model, video, method: str='occlusion', label: str | None=None, spec: ClipSpec | None=None, device: str | None=None, revision: str | None=None, progress: bool=False, shown_size: int=224, **options) -> Explanation:
    """What the model looks at in the middle clip of a video. Raises `ValueError` if the method does not fit the model."""
    ...

def check_method(model, method: str, label: str | None=None, device: str | None=None, revision: str | None=None):
    """Raise `ValueError` if a method or a class does not fit a model, before anything is computed."""
    ...

"""Choose the data, the checkpoint and the length of the training with one object, and see which choice was made and why."""
from typing import Any as _Any
__all__ = ['RECIPES', 'AUTO', 'Recipe', 'on_colab', 'get_recipe', 'own_recipe', 'as_recipe']
import html, logging, math, operator, os
from dataclasses import asdict, dataclass, replace
from importlib import util
from pathlib import Path
from fastcore.basics import patch
logger = logging.getLogger('vidcls.engine.recipes')

@dataclass(frozen=True)
class Recipe:
    """One experiment: the data, the checkpoint, the clip and the length of the training."""
    name: str
    data: str
    checkpoint: str
    data_revision: str | None = None
    checkpoint_revision: str | None = None
    from_scratch: bool = False
    per_class: tuple | None = None
    sampling_rate: int = 4
    fps: float = 30.0
    resize: str = 'crop'
    scale: tuple = (0.7, 0.875)
    epochs: int = 4
    batch_size: int = 8
    learning_rate: float = 5e-05
    warmup_ratio: float = 0.1
    weight_decay: float = 0.05
    label_smoothing: float = 0.0
    layer_decay: float = 1.0
    mix: bool = False
    precision: str | None = None
    eval_clips: int = 3
    seed: int = 0
    num_frames: int | None = None
    size: int | None = None
    balance: bool = False
    lora_rank: int | None = None
    drop_path: float | None = None

    def __post_init__(self):
        ...

    def _check(self):
        """Raise `ValueError` for a setting that does not make sense."""
        ...

    @property
    def is_smoke(self) -> bool:
        """Whether this is a smoke test: one pass shows only that every cell runs, and its numbers mean nothing."""
        ...

    def seconds(self, num_frames: int=16) -> float:
        """The time that `num_frames` frames cover."""
        ...

    def _repr_markdown_(self):
        ...

def _scales(small, large):
    ...
_RANGES = dict(fps=('above 0', lambda v: 0 < v < math.inf), learning_rate=('above 0', lambda v: 0 < v < math.inf), layer_decay=('above 0 and at most 1', lambda v: 0 < v <= 1), warmup_ratio=('from 0 to 1', lambda v: 0 <= v <= 1), weight_decay=('at least 0', lambda v: 0 <= v < math.inf), label_smoothing=('at least 0 and below 1', lambda v: 0 <= v < 1), scale=('two numbers above 0 and at most 1, the smaller one first', lambda v: _scales(*v)), resize=("'crop' or 'squash'", ('crop', 'squash').__contains__), num_frames=('None or a whole number above 0', lambda v: v is None or (type(v) is int and v > 0)), size=('None or a whole number above 0', lambda v: v is None or (type(v) is int and v > 0)), lora_rank=('None or a whole number above 0', lambda v: v is None or (type(v) is int and v > 0)), drop_path=('None, or at least 0 and below 1', lambda v: v is None or 0 <= v < 1), precision=('fp32, bf16 or fp16', (None, 'fp32', 'bf16', 'fp16').__contains__))
_stick = Recipe('stick', data='stick', checkpoint='videomae-stick', scale=(0.85, 1.0), epochs=12, batch_size=16, learning_rate=0.0005, label_smoothing=0.1)
RECIPES = dict(stick=_stick, smoke=replace(_stick, name='smoke', per_class=(2, 1, 1), epochs=1, eval_clips=2), ucf101=Recipe('ucf101', data='sayakpaul/ucf101-subset', checkpoint='MCG-NJU/videomae-base', data_revision='b9984b8d2a95e4a1879e1b071e9433858d0bc24a', checkpoint_revision='dc740ceda42fce44faed2ea03c6d447db72f6af9'))

def on_colab() -> bool:
    """Whether the package `google.colab` is installed."""
    ...

def _has_gpu():
    ...

def get_recipe(name: str | None=None, verbose: bool=True) -> Recipe:
    """The recipe to run. Raises `ValueError` if there is no recipe of that name."""
    ...
AUTO = 'auto'

def own_recipe(data, choose: bool=True) -> Recipe:
    """A recipe for somebody's own videos: made for real ones, unless a checkpoint or a recipe was named."""
    ...

def as_recipe(what=None, checkpoint: str | None=None) -> Recipe:
    """Turn `what` into a recipe. Raises `ValueError` if it is neither a recipe nor data."""
    ...

"""Send every video through a frozen network once, store the output, and train classifiers on it in seconds."""
from typing import Any as _Any
__all__ = ['logger', 'KINDS', 'Backbone', 'load_backbone', 'Features', 'read_batches', 'extract_features', 'ProbeResult', 'fit_probe', 'load_probe', 'probe_table', 'probe_videos']
import hashlib, json, logging, os, time, warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
import numpy as np, torch
from fastcore.basics import patch
from .clips import ClipSpec, normalize, video_probabilities
from .data import label_maps, recordings, split_by_group, video_table
from vidcls.engine.backbone import backbone_section, clip_groups, commit_of, content_keys, fill_shelf, mean_tokens, module_hash, open_shelf, plain_processor, probe_logits, probe_record, reached, steps_of, token_net, token_reader
from .engine.batch import process_device
from .engine.budget import in_turn
from .engine.choose import make_plan
from .engine.families import change_clip, family_of, read_config
from .engine.features import StoredArray
from .engine.fitting import fit_linear, SETTINGS, train_heads
from .engine.loading import model_folder
from .engine.machine import ahead, clip_loader, half_precision, home, process_state
from vidcls.engine.probe import factory_name, keep_tokens, load_base, make_head, ProbeConfig, ProbeModel, sample_features, saved_backbone, TokenNet, use_factory
from .engine.progress import progress_bar
from .engine.recipes import as_recipe, get_recipe, Recipe
from .engine.record import checkpoint_path, SHIPPED
from .engine.run import Run, start_hash
from .engine.tables import balance_rows, check_classes, imbalance_text, sources
from .engine.video import Segment, VideoError
from .infer import load_trained, seen_views
from .model import make_processor
from .scoring import class_recall, confusion_counts
from .share import check_token, model_card, push_model
logger = logging.getLogger('vidcls.backbones')

@dataclass
class Backbone:
    """A frozen network, the clips that it takes, and where it comes from."""
    net: TokenNet = field(repr=False)
    spec: ClipSpec
    name: str
    revision: str | None = None
    licence: str | None = None
    fingerprint: str = ''
    cls_tokens: int = 0
    steps: int | None = None
    places_first: bool = False
    factory: str | None = None

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        ...

    def tokens(self, frames: torch.Tensor) -> torch.Tensor:
        """The network's tokens for some clips."""
        ...

    @property
    def how(self) -> dict:
        """How the tokens are ordered."""
        ...

    def features(self, clips: torch.Tensor, tokens: str='mean') -> np.ndarray:
        """The features of some clips. Raises `ValueError` if the network returns NaN."""
        ...

def _spec_of(checkpoint, revision, recipe):
    """The clips that a checkpoint takes, from its clip_spec.json, or from its configuration and the recipe's time span."""
    ...

def _published(checkpoint, revision, spec, recipe):
    """The backbone of a checkpoint of transformers."""
    ...

def _own(make, spec, layout, steps, name, licence):
    """A backbone from the user's own module, or from a function that creates it."""
    ...

def _say_frames(backbone):
    """Log which clips a model for single images gets."""
    ...

def load_backbone(checkpoint, revision: str | None=None, spec: ClipSpec | None=None, recipe=None, layout: str='BTCHW', steps: int | None=None, name: str | None=None, licence: str | None=None) -> Backbone:
    """Load a network without its head. Raises `ValueError`, with the reason, if it cannot be used."""
    ...

@dataclass
class Features:
    """The features of a data set: one row per video, in the table's order."""
    table: 'pd.DataFrame'
    array: StoredArray
    backbone: Backbone
    tokens: str
    store: Path
    data: str = 'table'
    skipped: list = field(default_factory=list)

    def __repr__(self):
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of the backbone, the clips and the kind of tokens."""
        ...

    @property
    def num_clips(self) -> int:
        """How many clips each video has."""
        ...

def _videos(data):
    """A table of videos and a name for it: from a table, a folder, a CSV file, or a list of files or `Segment`s."""
    ...

class _Views(torch.utils.data.Dataset):
    """For each video its views, or the reason why it cannot be read."""
    num_clips: _Any
    paths: _Any
    spec: _Any

    def __init__(self, paths, spec, num_clips):
        ...

    def __len__(self):
        ...

    def __getitem__(self, i):
        ...

def read_batches(videos: dict, spec: ClipSpec, num_clips: int=1, batch_size: int=16, workers: int=0, bad: dict | None=None, progress: bool=False):
    """Read videos batch by batch, always one batch ahead of the caller."""
    ...

def _compute(backbone, shelf, todo, num_clips, tokens, batch_size, workers, progress, device, room, until):
    """Compute and store the features of the videos `todo` (key → path). Returns the reasons for those that failed."""
    ...

def _found(backbone, shelf, table, keys, bad, tokens, name):
    """The features of a table's videos. Videos without features are left out, with a warning."""
    ...

def extract_features(backbone, data, spec: ClipSpec | None=None, num_clips: int=1, tokens: str='mean', device: str | None=None, workers: int | None=None, store=None, progress: bool=True, batch_size: int=16, max_bytes: int=16 * 2 ** 30, revision: str | None=None, until: float | None=None) -> Features:
    """Compute the features of all videos once, then read them. A second call continues where the first one stopped."""
    ...

def _labelled(features, seed):
    """The table with splits and recordings, and label → number. Raises `ValueError` if a probe cannot be trained."""
    ...

def _linear(features, y, groups, split, balance, **_):
    """A linear head: logistic regression on the mean tokens. Returns (head, its kind, what was tried)."""
    ...

def _attentive(features, y, groups, split, balance, seed, depth, epochs, settings, device, progress):
    """An attentive head, the best of several that are trained in one pass."""
    ...

def _scores(head, features, y, split):
    """Accuracy on validation and test videos, probabilities averaged over clips, and the answers for the test videos."""
    ...

def _probe_model(features, head, kind, labels):
    """The backbone and the head as one model."""
    ...

def _processor(backbone):
    """A processor for transformers' own pipelines."""
    ...
KINDS = dict(linear=_linear, attentive=_attentive)

def _check(kind, depth):
    ...

def _fitted(features, kind, table, labels, seed, how):
    """Train, test and describe a head. Returns (head, its kind, record)."""
    ...

@dataclass
class ProbeResult:
    """A trained probe: where it is, how good it is, how it was chosen."""
    model_dir: Path
    metrics: dict
    history: list = field(repr=False)
    skipped: list = field(default_factory=list)
    per_class: dict = field(default_factory=dict, repr=False)

    def _repr_markdown_(self):
        ...

def fit_probe(features: Features, kind: str='linear', output_dir=None, seed: int=0, depth: int=1, epochs: int=20, settings=SETTINGS, device: str | None=None, progress: bool=True, balance: bool=False) -> ProbeResult:
    """Train a classifier on stored features, test it, and save it with its backbone as a model for `predict`."""
    ...

def load_probe(model, factory=None, device: str | None=None, revision: str | None=None) -> tuple:
    """Load a probe and its `ClipSpec` as `load_trained` does, with your function for its backbone."""
    ...

def probe_table(recipe: Recipe, table, output_dir, workers: int | None=None, progress: bool=True, until: float | None=None) -> ProbeResult:
    """A linear probe on the features of a recipe's checkpoint."""
    ...

def probe_videos(what=None, output_dir=None, push_to_hub: str | None=None, workers: int | None=None, progress: bool=True, until: float | None=None) -> ProbeResult:
    """Train a linear probe for a recipe, a folder or a CSV file."""
    ...

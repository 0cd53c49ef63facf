"""Score whole videos, say how sure the score is, and find out what the model relies on before you believe it."""
from typing import Any as _Any
__all__ = ['MOTION', 'accuracy_interval', 'paired_interval', 'Scores', 'score', 'class_recall', 'confusion_counts', 'VideoViews', 'test_part', 'evaluate_videos', 'score_results', 'mistakes', 'confused_pairs', 'pair_examples', 'calibration_error', 'with_temperature', 'fit_temperature']
import logging, tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
import numpy as np, torch
from accelerate.utils import broadcast_object_list
from fastcore.basics import patch
from scipy.special import softmax
from .clips import ClipSpec, eval_views, read_views, repeated_frames as count_repeats, video_probabilities
from .data import recordings, video_table
from .engine.batch import fingerprint, Journal, process_device
from .engine.loading import model_folder
from .engine.machine import clip_loader, process_state
from .engine.manifest import read_manifest
from .engine.progress import progress_bar
from .engine.record import saved_clips
from .engine.results import read_results
from .engine.tables import sources
from .engine.video import probe_video
from .infer import load_trained, run_inference
logger = logging.getLogger('vidcls.scoring')

def _sums(values, groups):
    """For each group the sum of its values, and its size."""
    ...

def _two_more(total, size, least):
    """Add a group with the highest and one with the lowest value, each as large as the group of an average video."""
    ...

def _jackknife(total, size):
    """The mean over all videos, and its standard error from leaving out one group at a time."""
    ...
_MIN_GROUPS = 8

def _over_groups(values, groups, least, level):
    """(low, high) for the mean of values from `least` to 1."""
    ...

def accuracy_interval(correct, groups, level: float=0.95) -> tuple:
    """An interval for the accuracy on all videos of this kind; holds near 100 %, and if the videos of a group are alike."""
    ...

def paired_interval(correct_a, correct_b, groups, level: float=0.95) -> tuple:
    """The difference of two accuracies on the same videos, with its interval over groups."""
    ...

@dataclass
class Scores:
    """Per-video scores with their protocol."""
    accuracy: float
    interval: tuple | None
    top5: float
    macro_f1: float
    per_class: 'pd.DataFrame' = field(repr=False)
    predictions: 'pd.DataFrame' = field(repr=False)
    probabilities: np.ndarray = field(repr=False)
    labels: list = field(repr=False)
    by_view: np.ndarray = field(repr=False)
    protocol: str

    @property
    def clip_accuracy(self):
        """Share of views that are right."""
        ...

    @property
    def groups(self):
        """For each video: the recording it comes from."""
        ...

    def __str__(self):
        ...

    def _repr_markdown_(self):
        ...

def score(table, logits, id2label: dict, protocol: str) -> Scores:
    """Scores from logits."""
    ...

def _per_class(predictions):
    """One row per class that occurs: videos, accuracy, precision, f1."""
    ...

def _top5(truth, p):
    """Share of videos whose class is among the five likeliest; 1 if there are at most five classes."""
    ...

def class_recall(trained, tested, correct) -> dict:
    """How many videos each class has, and which share of its test videos the model recognises."""
    ...

def confusion_counts(tested, answers) -> dict:
    """The confusion matrix of a test."""
    ...

class VideoViews(torch.utils.data.Dataset):
    """All fixed views of a video at once, and what to do with them before the model sees them."""
    change: _Any
    num_clips: int
    num_crops: int
    paths: _Any
    spec: ClipSpec

    def __init__(self, table, spec: ClipSpec, num_clips: int=1, num_crops: int=1, change=None):
        ...

    def __len__(self):
        ...

    def _views(self, i):
        ...

    def __getitem__(self, i):
        ...

    def repeated_frames(self, i: int) -> int:
        """How many frames of a clip of a video repeat others, because it has too few."""
        ...

def _in_batches(clips, batch_size):
    """Tensors [views, ...], regrouped into batches of `batch_size`; the last may be smaller."""
    ...

def _by_video(batches, asked):
    """Logits of batches, regrouped by video; `asked` holds (number, views) of the videos that were read so far."""
    ...

def _logits(net, spec, videos, which, batch_size, workers, progress):
    """Yield (number, logits [views, classes]) of the videos `which`."""
    ...

@contextmanager
def _journal(out, run):
    """The journal in the file `out`, or in a temporary folder of the main process."""
    ...

def _score_missing(log, net, spec, videos, batch_size, workers, progress):
    """Score the videos that the journal lacks; returns all its rows, in the order of the videos."""
    ...

def _to_score(data, known):
    """The table of videos to score, checked against the labels that the model knows."""
    ...

def test_part(table):
    """The test videos, or all if the data has no splits. Raises `ValueError` if the data has splits but no test videos."""
    ...

def evaluate_videos(model, data, num_clips: int | None=None, num_crops: int=1, batch_size: int=16, workers: int=0, device: str | None=None, progress: bool=True, change=None, out=None, revision: str | None=None) -> Scores:
    """Score whole videos from several views, in one process or in several. Raises `VideoError` or `ValueError`."""
    ...

def _protocol(num_clips, num_crops, seconds):
    ...

def _scores(table, rows, id2label, videos):
    """Scores from the rows of a journal."""
    ...

def _with_logits(table):
    """The videos that have logits; warns if some have none."""
    ...

def score_results(results, manifest=None) -> Scores:
    """Scores from kept logits, of the test videos if there are splits. Raises `OSError` or `ValueError`."""
    ...

def mistakes(scores: Scores, n: int=6) -> 'pd.DataFrame':
    """The most confident mistakes, surest first."""
    ...

def confused_pairs(scores: Scores, n: int=5) -> 'pd.DataFrame':
    """Which classes the model takes for which, most frequent first."""
    ...

def pair_examples(scores: Scores, n: int=5) -> 'pd.DataFrame':
    """The most confident video of each of the most confused pairs."""
    ...

def _shuffle(v):
    ...

def _freeze(v):
    ...

def _single(v):
    ...
MOTION = {'as it is': None, 'shuffled': _shuffle, 'reversed': lambda v: v.flip(1), 'frozen': _freeze, 'single frame': _single}

def calibration_error(confidence, correct, bins: int=10) -> float:
    """Expected calibration error: how far apart confidence and accuracy are (Guo et al. 2017)."""
    ...

def with_temperature(probabilities, t: float) -> np.ndarray:
    """Flatten or sharpen probabilities; the most likely class stays the same."""
    ...

def fit_temperature(scores: Scores) -> float:
    """The likeliest temperature, with Platt's correction, so that it stays above 0 even without a mistake."""
    ...

"""Measure on one core what a video costs, and predict how long a job takes on a fleet of cores, GPUs and disks, and what it waits for."""
from typing import Any as _Any
__all__ = ['Costs', 'Fleet', 'Prediction', 'core_work', 'predict_time', 'core_seconds', 'measure_costs', 'with_videos', 'with_network', 'CoreClock', 'compare', 'measure_ray', 'plot_bottleneck']
import math, tempfile, threading, time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
import numpy as np
from fastcore.basics import patch
from .manifest import write_manifest
from .results import Results
from .shards import make_forward, make_scorer, Pool, score_job, views_job

@dataclass(frozen=True)
class Costs:
    """What scoring a video needs."""
    views: float
    decode_s: float
    forward_s: float
    flops: float
    core_flops: float
    file_mb: float
    view_mb: float
    row_kb: float
    answer_s: float
    write_s: float
    start_s: float
    block_s: float = 0.0
    engine_s: float = 0.0

    @property
    def mfu(self) -> float:
        """The share of a matrix product's speed that the network reaches on a core."""
        ...

@dataclass(frozen=True)
class Fleet:
    """Machines, taken together."""
    cores: float
    gpus: float = 0
    gpu_tflops: float = 990
    mfu: float = 0.3
    storage_mb_s: float = math.inf
    views_mb_s: float = math.inf
    block_rows: int = 256
    processes: float | None = None

@dataclass(frozen=True)
class Prediction:
    """How long a job takes, and why."""
    start_s: float
    busy: dict

    @property
    def bottleneck(self) -> str:
        """The resource that all others wait for."""
        ...

    @property
    def seconds(self) -> float:
        """From start to end. The resources work at the same time, so the busiest one decides."""
        ...

def core_work(c: Costs, fleet: Fleet) -> float:
    """What a video asks of the cores."""
    ...

def predict_time(c: Costs, fleet: Fleet, videos: float) -> Prediction:
    """How long each resource of a fleet is busy with a job."""
    ...

def core_seconds(f, items) -> tuple:
    """What calls cost this process, all its threads together."""
    ...

def _process_costs(job, rows):
    """Core-seconds until a process is ready, and of the watching process per video."""
    ...

def _writing_costs(rows, answers):
    """(KB of a row, core-seconds per file of results)."""
    ...

@contextmanager
def _one_thread():
    ...

def _reading(job, rows):
    """(views of each video, what reading them costs)."""
    ...

def measure_costs(model, rows: list, num_clips: int | None=None, num_crops: int=1) -> Costs:
    """What scoring these videos costs on a core of this machine. Raises `ValueError` for videos that cannot be read."""
    ...

def with_videos(costs: Costs, spec, rows: list, num_clips: int=1, num_crops: int=1) -> Costs:
    """The same with other videos or other clips, which are read to see what that costs."""
    ...

def with_network(costs: Costs, flops: float) -> Costs:
    """The same with another network that uses a core equally well."""
    ...

class CoreClock:
    """Core-seconds of this process and of those that it started, in a `with` block."""
    _end: _Any
    _seen: _Any
    _thread: _Any
    every: float
    samples: _Any

    def __init__(self, every: float=0.2):
        ...

    def _look(self):
        ...

    def _watch(self):
        ...

    def __enter__(self):
        ...

    def __exit__(self, *error):
        ...

    def between(self, start: float=-math.inf, end: float=math.inf) -> float:
        """What was used from one moment to another."""
        ...

def compare(prediction: Prediction, cores: float, clock: CoreClock, wall: float) -> 'pd.DataFrame':
    """A prediction beside the run."""
    ...

def _empty_run(job, identity, folder, blocks, **how):
    """Core-seconds of a run on Ray without a single video."""
    ...

def measure_ray(costs: Costs, model, actors: int=2, address: str | None=None, blocks: tuple=(4, 64)) -> Costs:
    """Measure what Ray costs, by three runs without videos."""
    ...

def plot_bottleneck(c: Costs, fleet: Fleet, videos: float, per_gpu=(1, 2, 4, 8, 16, 32, 64, 128, 256), ax=None):
    """Hours that each resource is busy, against the number of decoding cores per GPU."""
    ...

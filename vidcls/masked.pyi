"""Hide most of a clip, learn to fill in what is missing, and measure how much that helps when you have few labels."""
from typing import Any as _Any
__all__ = ['MASKING', 'unlabelled', 'tube_masks', 'random_masks', 'patchify', 'unpatchify', 'motion', 'masked_loss', 'masked_net', 'load_masked', 'reconstruct', 'MaskedTrainer', 'masked_trainer', 'PretrainResult', 'pretrain', 'fewer_labels', 'transfer', 'data_hash', 'MASKED', 'step_losses', 'TARGETS']
import logging
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
import numpy as np, torch
from fastcore.basics import patch
from transformers import set_seed, VideoMAEForPreTraining
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
_all_ = ['data_hash', 'MASKED', 'step_losses', 'TARGETS']
from vidcls.clips import ClipDataset, ClipSpec, normalize
from vidcls.data import data_root, parse_name, video_files, video_table
from vidcls.engine.audit import known_check, usable_videos
from vidcls.engine.cache import frame_cache, known_cache
from vidcls.engine.hosts import watched
from vidcls.engine.machine import get_device, home, process_state
from vidcls.engine.masked_run import check_loss, check_target, data_hash, MASKED, masked_config, pretrain_card, step_losses, TARGETS
from vidcls.engine.prepare import copy_size
from vidcls.engine.recipes import Recipe
from vidcls.engine.record import checkpoint_path, weight_errors, weights_folder
from vidcls.engine.run import Run
from vidcls.engine.start import positional_start
from vidcls.engine.trainer import clip_flops, ClipTrainer, training_arguments
from vidcls.engine.transfer import TransferRows
from vidcls.model import check_biases, check_encoder, make_processor
from vidcls.scoring import evaluate_videos
from vidcls.train import collate_fn, finetune
from vidcls.transforms import train_transform
logger = logging.getLogger('vidcls.masked')

def unlabelled(root) -> 'pd.DataFrame':
    """List every video file below a folder. Raises `FileNotFoundError` if it contains none."""
    ...

def _hidden(n, tokens, ratio, generator):
    """n random masks over `tokens`, with the same number hidden in each: at least one, and never all."""
    ...

def tube_masks(config, n: int, ratio: float=0.75, generator: torch.Generator=None) -> torch.Tensor:
    """Random tubes: the same places in every frame (Tong et al. 2022, 3.2)."""
    ...

def random_masks(config, n: int, ratio: float=0.6, generator: torch.Generator=None) -> torch.Tensor:
    """Random tubelets, independent of each other in space and time."""
    ...
MASKING = dict(tubes=tube_masks, random=random_masks)

def patchify(frames: torch.Tensor, config) -> torch.Tensor:
    """Cut clips into the model's tubelets."""
    ...

def unpatchify(x: torch.Tensor, config) -> torch.Tensor:
    """Put tubelets together again."""
    ...

def motion(frames: torch.Tensor, config) -> torch.Tensor:
    """How far each tubelet is from the clip's mean picture."""
    ...
_IMAGENET = torch.tensor([IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD])[:, :, None, None]

def _weighted(out, frames, mask, config):
    """The mean squared error of the hidden tubelets, weighted by the amount of motion in them."""
    ...

def masked_loss(net, frames: torch.Tensor, mask: torch.Tensor, target: str='pixels') -> torch.Tensor:
    """Mean squared error of the hidden tubelets. Raises `ValueError` if the model's config does not fit the target."""
    ...

def _loaded(recipe):
    """The recipe's checkpoint; if it has no decoder, the decoder begins with random weights."""
    ...

def masked_net(recipe: Recipe, target: str='pixels') -> VideoMAEForPreTraining:
    """The model to pre-train, with its decoder."""
    ...

def load_masked(model: str='videomae-masked', recipe: Recipe=MASKED) -> tuple:
    """A pre-trained model with its decoder, to look at what it reconstructs."""
    ...

def _to_bytes(pixels, spec):
    """From transformers' pixels [B, T, C, H, W], which assume ImageNet's mean, to the clip's own bytes."""
    ...

@torch.no_grad()
def reconstruct(net, clips: torch.Tensor, mask: torch.Tensor, spec: ClipSpec) -> torch.Tensor:
    """Clips with the hidden tubelets as the model predicts them, for the targets `pixels` and `motion`."""
    ...

class MaskedTrainer(ClipTrainer):
    """Trains `VideoMAEForPreTraining` and logs the loss of every step."""
    _flops: _Any
    first: _Any
    mask_ratio: float
    masks: _Any
    target: str

    def __init__(self, *args, mask_ratio: float=0.75, target: str='pixels', masking: str='tubes', **kwargs):
        ...

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None) -> torch.Tensor:
        """The masked loss, with masks that depend only on the seed and the step."""
        ...

    def _write(self, step, loss):
        ...

    def _clip_flops(self):
        ...
_ARGUMENTS = dict(eval_strategy='no', load_best_model_at_end=False, label_smoothing_factor=0.0, adam_beta2=0.95, logging_steps=50)

def masked_trainer(recipe: Recipe, table, folder, mask_ratio: float=0.75, target: str='pixels', masking: str='tubes', cache=None, workers: int | None=None, **kwargs) -> MaskedTrainer:
    """Model, data and arguments of a masked pre-training."""
    ...

@dataclass
class PretrainResult:
    """A pre-trained model: where it is and how it got there."""
    model_dir: Path
    metrics: dict
    losses: list = field(repr=False)
    skipped: list = field(default_factory=list)

def _learned(trainer, seconds, recipe):
    """What a finished pre-training stores."""
    ...

def _pretrained(recipe, run, how, cache, workers, progress, strict, check):
    """Check the videos, then train or resume. Returns the run's record and the videos that cannot be used."""
    ...

def _refuse(recipe, mask_ratio, target, masking):
    """Raise `ValueError` for settings with which no pre-training is possible."""
    ...

def pretrain(recipe: Recipe, output_dir=None, mask_ratio: float=0.75, target: str='pixels', masking: str='tubes', resume: bool=False, strict: bool=False, workers: int | None=None, progress: bool=True, cache: str | None=None, overwrite: bool=False, check: str | None=None) -> PretrainResult:
    """Pre-train VideoMAE on a folder of videos, also under `torchrun`. Raises `FloatingPointError` if the loss explodes."""
    ...

def fewer_labels(table, share: float) -> 'pd.DataFrame':
    """Keep the first videos of every class, so that a smaller share is a subset of a larger one."""
    ...

def _scored(recipe, folder, **kwargs):
    """Fine-tune. Returns the table's row, and the test videos with a column `correct`."""
    ...

def transfer(starts: dict, recipe: Recipe, folder, runs=((1.0, 0), (0.3, 0), (0.1, 0)), progress: bool=True, **kwargs) -> TransferRows:
    """Fine-tune from several starts on several shares of the labels. Continues where an earlier call stopped."""
    ...

"""Learn video classification by stepping through it, and use what you stepped through.

The names below are those a user may rely on; each is also in its module. They are imported when they are first asked
for, so `import vidcls` alone is quick.
"""
from .engine.recipes import Recipe as Recipe
from .engine.recipes import get_recipe as get_recipe
from .engine.machine import doctor as doctor
from .engine.archive import download_ucf101_subset as download_ucf101_subset
from .engine.archive import extract_archive as extract_archive
from .data import video_table as video_table
from .data import label_maps as label_maps
from .data import split_by_group as split_by_group
from .data import sample_videos as sample_videos
from .engine.audit import check_videos as check_videos
from .engine.audit import audit_leakage as audit_leakage
from .engine.prepare import prepare_videos as prepare_videos
from .synthetic.stick import make_stickucf as make_stickucf
from .engine.video import VideoError as VideoError
from .engine.video import probe_video as probe_video
from .clips import ClipSpec as ClipSpec
from .clips import View as View
from .clips import read_clip as read_clip
from .clips import read_views as read_views
from .clips import ClipDataset as ClipDataset
from .transforms import train_transform as train_transform
from .transforms import eval_transform as eval_transform
from .gif import create_gif as create_gif
from .gif import display_gif as display_gif
from .gif import unnormalize_img as unnormalize_img
from .gif import clip_grid as clip_grid
from .gif import film_strip as film_strip
from .model import load_model as load_model
from .train import collate_fn as collate_fn
from .train import compute_metrics as compute_metrics
from .train import finetune as finetune
from .masked import pretrain as pretrain
from .backbones import extract_features as extract_features
from .backbones import fit_probe as fit_probe
from .backbones import probe_videos as probe_videos
from .infer import run_inference as run_inference
from .infer import predict as predict
from .engine.batch import predict_files as predict_files
from .engine.pipeline import VidclsPipeline as VidclsPipeline
from .when import timeline as timeline
from .scoring import evaluate_videos as evaluate_videos
from .see import explain as explain
from .engine.report import report as report
from .share import push_model as push_model
from .engine.export import export_onnx as export_onnx
from .engine.hub import push_dataset as push_dataset
from .engine.hub import push_space as push_space
from .engine.app import make_app as make_app

__version__: str
__all__ = [
    "__version__",
    "Recipe",
    "get_recipe",
    "doctor",
    "download_ucf101_subset",
    "extract_archive",
    "video_table",
    "label_maps",
    "split_by_group",
    "sample_videos",
    "check_videos",
    "audit_leakage",
    "prepare_videos",
    "make_stickucf",
    "VideoError",
    "probe_video",
    "ClipSpec",
    "View",
    "read_clip",
    "read_views",
    "ClipDataset",
    "train_transform",
    "eval_transform",
    "create_gif",
    "display_gif",
    "unnormalize_img",
    "clip_grid",
    "film_strip",
    "load_model",
    "collate_fn",
    "compute_metrics",
    "finetune",
    "pretrain",
    "extract_features",
    "fit_probe",
    "probe_videos",
    "run_inference",
    "predict",
    "predict_files",
    "VidclsPipeline",
    "timeline",
    "evaluate_videos",
    "explain",
    "report",
    "push_model",
    "export_onnx",
    "push_dataset",
    "push_space",
    "make_app",
]

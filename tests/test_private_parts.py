"""What the package uses of other packages although they do not promise it: one list, and a test for each entry.

A new version that takes one away or changes it fails here, in one sentence, before it fails somewhere in a training.
`.github/workflows/transformers.yml` runs this every week with the newest transformers; CONTRIBUTING.md says what to do then."""
import ast, inspect, pkgutil
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path

import pytest, torch

import vidcls
from videos import tiny_config

PACKAGE = Path(vidcls.__file__).parent
DOCUMENTED = {"_replace", "_asdict", "_exit"}  # Underscores that are no secret: namedtuple's and os's


@dataclass(frozen=True)
class Part:
    name: str      # package:object
    why: str       # What the package does with it
    check: object  # Returns a complaint, or nothing


PARTS = []


def function(name, why, *params, called=None):
    """A function or method that is called or overridden. `params`: its parameters, where an override or a call names them, else any will do;
    `called`: the module that must go on calling it, or an override would do nothing."""
    def check():
        found = list(inspect.signature(pkgutil.resolve_name(name)).parameters)
        if params and found != list(params): return f"takes ({', '.join(found)}) now, it took ({', '.join(params)})"
        short = name.rpartition(".")[2]
        if called and f"self.{short}" not in inspect.getsource(import_module(called)): return f"is never called in {called} now"
    PARTS.append(Part(name, why, check))


def behaviour(name, why):
    "The decorated function returns a complaint, or nothing."
    def register(check): PARTS.append(Part(name, why, check))
    return register


# -- transformers: Trainer --------------------------------------------------------------------------------------------

T = "transformers.trainer"
function("transformers:Trainer._prepare_inputs", "ClipTrainer normalises the clips there", "self", "inputs", called=T)
function("transformers:Trainer.compute_loss", "ClipTrainer and MaskedTrainer have losses of their own",
         "self", "model", "inputs", "return_outputs", "num_items_in_batch", called=T)
function("transformers:Trainer.create_optimizer", "ClipTrainer splits its groups by layer", "self", "model", called=T)
function("transformers:Trainer.get_train_dataloader", "ClipTrainer tells the data set which epoch it is", "self", called=T)
function("transformers:Trainer._get_dataloader", "ClipTrainer sets the loader's generator and how its processes start", called=T)
function("transformers:Trainer.get_batch_samples", "ClipTrainer times the waiting and leaves out what fills up the last batch",
         "self", "epoch_iterator", "num_batches", "device", called=T)
function("transformers:Trainer._get_num_items_in_batch", "ClipTrainer counts again what is left", "self", "batch_samples", "device", called=T)
function("transformers:Trainer.log", "ClipTrainer adds clips a second", "self", "logs", "start_time", called=T)
function("transformers:Trainer.evaluate", "ClipTrainer takes its time out of the training's", called=T)
function("transformers:Trainer.evaluation_loop", "ClipTrainer counts every clip once in the loss of several processes", called=T)
function("transformers:Trainer._save_checkpoint", "ClipTrainer takes its time out of the training's", called=T)
function("transformers:Trainer._save_rng_state", "ClipTrainer waits there for all processes", "self", "output_dir", called=T)


@behaviour("transformers:Trainer._save_checkpoint, its order", "a checkpoint with a trainer_state.json is whole, and older ones are deleted after that")
def _():
    source = inspect.getsource(pkgutil.resolve_name("transformers:Trainer._save_checkpoint"))
    at = [source.index(f"{name}(") for name in ("_save_rng_state", "save_to_json", "rotate_checkpoints")]
    if at != sorted(at): return "writes trainer_state.json or deletes checkpoints before the random numbers are written"


function("transformers:Trainer._save", "ClipTrainer writes only what LoRA trains", called=T)
function("transformers:Trainer.train", "ClipTrainer ends the processes that read clips afterwards")
function("transformers:Trainer.predict", "ClipTrainer ends the processes that read clips afterwards")
function("transformers:Trainer._load_best_model", "ClipTrainer reloads through from_pretrained", "self", called=T)
function("transformers:Trainer._load_from_checkpoint", "ClipTrainer reloads through from_pretrained", "self", "resume_from_checkpoint", "model", called=T)


@behaviour("transformers:PreTrainedConfig.model_type", "ProbeConfig and OnnxConfig have one of their own")
def _():
    if import_module("transformers").PreTrainedConfig.model_type != "": return "is not the empty name that a config fills in now"


for attribute in ("config_class", "main_input_name"):
    @behaviour(f"transformers:PreTrainedModel.{attribute}", "ProbeModel and OnnxNet say which config they have and what their input is called")
    def _(attribute=attribute):
        if not hasattr(import_module("transformers").PreTrainedModel, attribute): return "is not an attribute of every model now"

for attribute in ("device", "dtype", "to"):
    @behaviour(f"transformers:PreTrainedModel.{attribute}", "OnnxNet has no weights, and stays on the CPU")
    def _(attribute=attribute):
        if not hasattr(import_module("transformers").PreTrainedModel, attribute): return "is not an attribute of every model now"

function("transformers:PreTrainedModel.save_pretrained", "ProbeModel writes its backbone as well")
function("transformers:PreTrainedModel.from_pretrained", "ProbeModel finds its backbone again, and OnnxNet its file")


@behaviour("transformers:Trainer.is_in_train", "ClipTrainer keeps the readers of a training that goes on")
def _():
    if "self.is_in_train = True" not in inspect.getsource(import_module(T)): return "is never set in train() now"


@behaviour("transformers:Trainer._eval_dataloaders", "ClipTrainer ends the processes of loaders that are kept for the next evaluation")
def _():
    if "self._eval_dataloaders" not in inspect.getsource(import_module(T)): return "is not where loaders are kept now"


@behaviour("transformers:Trainer tells the loader its epoch", "ClipTrainer passes it on to the data set")
def _():
    if "train_dataloader.set_epoch(epoch)" not in inspect.getsource(import_module(T)): return "does not call set_epoch of its loader now"


@behaviour("transformers:Trainer's files of a checkpoint", "resuming takes a checkpoint that has them all")
def _():
    t = import_module(T)
    names = [t.TRAINER_STATE_NAME, t.OPTIMIZER_NAME, t.SCHEDULER_NAME, t.SAFE_WEIGHTS_NAME, f"{t.PREFIX_CHECKPOINT_DIR}-"]
    if names != ["trainer_state.json", "optimizer.pt", "scheduler.pt", "model.safetensors", "checkpoint-"]: return f"are called {', '.join(names)} now"
    if '"rng_state.pth"' not in inspect.getsource(t): return "have no rng_state.pth now"


for event in "on_train_begin on_epoch_begin on_step_end on_prediction_step on_epoch_end on_evaluate on_save on_predict on_train_end".split():
    function(f"transformers:TrainerCallback.{event}", "TrainingProgress shows what happens, and Deadline watches the clock")


@behaviour("transformers.trainer:DEFAULT_PROGRESS_CALLBACK", "ClipTrainer takes it and PrinterCallback away and shows its own progress")
def _():
    if "self.add_callback(PrinterCallback if self.args.disable_tqdm else DEFAULT_PROGRESS_CALLBACK)" not in inspect.getsource(import_module(T)):
        return "is not what Trainer adds now"


# -- transformers: pipelines ------------------------------------------------------------------------------------------

P = "transformers.pipelines.base"
function("transformers:VideoClassificationPipeline._sanitize_parameters", "VidclsPipeline takes clips, crops and top_k", called=P)
function("transformers:VideoClassificationPipeline.preprocess", "VidclsPipeline reads its own views", called=P)
function("transformers:VideoClassificationPipeline._forward", "VidclsPipeline averages over views", "self", "model_inputs", called=P)
function("transformers:VideoClassificationPipeline.postprocess", "VidclsPipeline names the labels", called=P)
function("transformers:VideoClassificationPipeline.forward", "VidclsPipeline.get_iterator calls it for every batch", "self", "model_inputs", "forward_params")
function("transformers:VideoClassificationPipeline.get_iterator", "VidclsPipeline joins and parts views by video",
         "self", "inputs", "num_workers", "batch_size", "preprocess_params", "forward_params", "postprocess_params", called=P)
function("transformers.pipelines.pt_utils:PipelineDataset", "VidclsPipeline.get_iterator is made of it", "dataset", "process", "params")
function("transformers.pipelines.pt_utils:PipelineIterator", "VidclsPipeline.get_iterator is made of it", "loader", "infer", "params", "loader_batch_size")


# -- transformers: the rest -------------------------------------------------------------------------------------------

@behaviour("transformers.utils:cached_file(_raise_exceptions_for_missing_entries=)", "a file that a checkpoint need not have is asked for")
def _():
    if "_raise_exceptions_for_missing_entries" not in inspect.getsource(import_module("transformers.utils.hub")): return "is not known now"


@behaviour("transformers:PreTrainedModel.from_pretrained(output_loading_info=True)", "check_encoder reads which weights are new, dropped or of another shape")
def _():
    from tempfile import TemporaryDirectory
    from transformers import VideoMAEForVideoClassification as Model
    with TemporaryDirectory() as folder:
        Model(tiny_config(num_labels=3)).save_pretrained(folder)
        _, info = Model.from_pretrained(folder, num_labels=2, ignore_mismatched_sizes=True, output_loading_info=True)
    if missing := {"missing_keys", "unexpected_keys", "mismatched_keys"} - set(info): return f"has no {missing.pop()} now"
    if "classifier.weight" not in {k[0] for k in info["mismatched_keys"]}: return f"names mismatched weights in another way now: {info['mismatched_keys']}"


@behaviour("transformers:PreTrainedConfig._attn_implementation", "the race of training steps chooses the kind of attention")
def _():
    from transformers import VideoMAEModel
    config = tiny_config()
    config._attn_implementation = "eager"
    if (found := VideoMAEModel(config).config._attn_implementation) != "eager": return f"is {found!r} after it was set to 'eager'"


@behaviour("transformers:VideoMAEForPreTraining's mean and std", "masked_loss and reconstruct undo them, whatever the clips were normalised with")
def _():
    from transformers import VideoMAEForPreTraining as Model, image_utils
    model = import_module(Model.__module__)
    for name in ("IMAGENET_DEFAULT_MEAN", "IMAGENET_DEFAULT_STD"):
        if name not in inspect.getsource(Model.forward) or getattr(model, name) != getattr(image_utils, name): return f"are not {name} now"


# -- accelerate -------------------------------------------------------------------------------------------------------

def loader(**kwargs): return torch.utils.data.DataLoader([0, 1, 2], **kwargs)


@behaviour("accelerate:Accelerator._dataloaders", "ClipTrainer ends the processes of all loaders that were prepared")
def _():
    from accelerate import Accelerator
    a, mine = Accelerator(cpu=True), loader()
    if getattr(a.prepare(mine), "base_dataloader", None) is None: return "holds loaders without base_dataloader, PyTorch's own, now"
    if len(a._dataloaders) != 1: return "does not hold what was prepared now"


@behaviour("accelerate:DataLoaderShard.base_dataloader", "ClipTrainer sets the generator and the context of PyTorch's loader")
def _():
    from accelerate import Accelerator
    inner = Accelerator(cpu=True).prepare(loader()).base_dataloader
    if not isinstance(inner, torch.utils.data.DataLoader): return f"is a {type(inner).__name__} now, not a DataLoader"


@behaviour("accelerate:DataLoaderShard.set_epoch", "ClipTrainer puts its own in its place")
def _():
    from accelerate import Accelerator
    if list(inspect.signature(Accelerator(cpu=True).prepare(loader()).set_epoch).parameters) != ["epoch"]: return "takes something else than the epoch now"


@behaviour("accelerate:GradientState.end_of_dataloader and .remainder", "ClipTrainer does not count what fills up the last batch")
def _():
    from accelerate.state import GradientState
    if not (hasattr(GradientState, "end_of_dataloader") and hasattr(GradientState, "remainder")): return "are gone"


# -- PyTorch, torchvision ---------------------------------------------------------------------------------------------

@behaviour("torch.utils.data:DataLoader._iterator", "ClipTrainer ends the processes that read clips at once")
def _():
    l = loader(num_workers=1, persistent_workers=True)
    list(l)
    if not callable(getattr(getattr(l, "_iterator", None), "_shutdown_workers", None)): return "has no _shutdown_workers() of living processes now"
    workers = l._iterator._workers
    l._iterator._shutdown_workers()
    if any(w.is_alive() for w in workers): return "leaves processes alive after _shutdown_workers() now"
    l._iterator = None
    if len(list(l)) != 3: return "cannot be forgotten now: the loader does not start again"
    l._iterator._shutdown_workers()


@behaviour("torch.utils.data:DataLoader.generator", "ClipTrainer sets it afterwards, so that loading takes no random numbers from the model")
def _():
    l = loader()
    l.generator = torch.Generator().manual_seed(0)
    before = torch.get_rng_state()
    list(l)
    if not torch.equal(before, torch.get_rng_state()): return "cannot be set afterwards now: global random numbers are taken"


@behaviour("torch.utils.data:DataLoader.multiprocessing_context", "ClipTrainer sets it afterwards, for readers that leave inherited decoders alone")
def _():
    import multiprocessing as mp
    l, context = loader(num_workers=1), mp.get_context("spawn")
    l.multiprocessing_context = context
    if l.multiprocessing_context is not context: return "cannot be set afterwards now"


@behaviour("torch.utils.data:DataLoader's message about a worker that died", "check_videos then looks for the file that killed it")
def _():
    if '"DataLoader worker (pid' not in inspect.getsource(torch.utils.data.dataloader): return "does not begin with 'DataLoader worker (pid' now"


@behaviour("torch.utils.flop_counter:FlopCounterMode", "clip_flops counts with it")
def _():
    from torch.utils.flop_counter import FlopCounterMode
    with FlopCounterMode(display=False) as counter: torch.ones(2, 3) @ torch.ones(3, 4)
    if (n := counter.get_total_flops()) != 2*2*3*4: return f"counts {n} operations for a product of 2x3 and 3x4 now"


@behaviour("torchvision.transforms:_functional_tensor", "PyTorchVideo finds it under its old name")
def _(): import_module("torchvision.transforms._functional_tensor").rgb_to_grayscale  # noqa: B018


# -- torch ------------------------------------------------------------------------------------------------------------

@behaviour("torch:ops.mkldnn._is_mkldnn_bf16_supported", "usable_precision asks it whether the CPU computes in bfloat16")
def _():
    if not isinstance(torch.ops.mkldnn._is_mkldnn_bf16_supported(), bool): return "gives no truth value now"


# -- huggingface_hub, Python ------------------------------------------------------------------------------------------

@behaviour("huggingface_hub.file_download:repo_folder_name", "hub_folder looks for the commits of a model in the cache")
def _():
    from huggingface_hub.file_download import repo_folder_name
    if (name := repo_folder_name(repo_id="a/b", repo_type="model")) != "models--a--b": return f"calls a model's folder {name} now"


@behaviour("huggingface_hub:errors.HTTPError", "failures of the network are caught as what the client's own library raises")
def _():
    from huggingface_hub import errors
    if not issubclass(errors.HfHubHTTPError, errors.HTTPError): return "is no parent of HfHubHTTPError now"


# -- the tests --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("part", PARTS, ids=lambda p: p.name)
def test_is_as_it_was(part):
    package = part.name.partition(":")[0].partition(".")[0]
    try: complaint = part.check()
    except (AttributeError, ImportError) as e: complaint = f"is gone ({e})"
    version = f" of {package} {metadata.version(package)}" if package != "tarfile" else " of Python's tarfile"
    if complaint: pytest.fail(f"{part.name.partition(':')[2]}{version} {complaint}; {part.why}.", pytrace=False)


def listed(): return {word for p in PARTS for word in p.name.replace(":", ".").replace("(", ".").replace("=", ".").split(".")}


def test_nothing_private_is_used_that_the_list_lacks():
    "Every name with an underscore that the package's code reads or sets is its own, or in the list."
    trees = [ast.parse(p.read_text(encoding="utf-8")) for p in sorted(PACKAGE.rglob("*.py")) if p.name != "_modidx.py"]
    nodes = [n for t in trees for n in ast.walk(t)]
    own = {n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))} | {n.id for n in nodes if isinstance(n, ast.Name)}
    own |= {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) and getattr(n.value, "id", "") in ("self", "cls")}
    used = {n.attr for n in nodes if isinstance(n, ast.Attribute)} | {n.arg for n in nodes if isinstance(n, ast.keyword) and n.arg}
    used |= {a.name for n in nodes if isinstance(n, ast.ImportFrom) and not n.level and not str(n.module).startswith("vidcls") for a in n.names}
    used |= {word for n in nodes if isinstance(n, ast.Import) for a in n.names for word in a.name.split(".")}
    private = {u for u in used if u.startswith("_") and not u.startswith("__")}
    assert not private - own - DOCUMENTED - listed() - {"_shutdown_workers"}  # part of _iterator


def test_no_method_of_transformers_is_overridden_that_the_list_lacks():
    for m in pkgutil.walk_packages(vidcls.__path__, "vidcls."):
        if m.name.endswith("__main__"): continue
        for cls in vars(import_module(m.name)).values():
            if not (inspect.isclass(cls) and cls.__module__.startswith("vidcls.")): continue
            theirs = [b for b in cls.__mro__ if b.__module__.startswith("transformers.")]
            over = {n for n in vars(cls) if not n.startswith(("__", "_orig_", "_abc_")) and any(n in vars(b) for b in theirs)}
            assert not over - listed(), cls

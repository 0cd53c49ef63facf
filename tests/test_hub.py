"""vidcls against a Hub: the data set and the checkpoint come from there, a fine-tuned model goes there and comes back.

The Hub is the small one of `hub_server.py`; it has the same repositories, commits and file names as the real one, with
small content. What the real one holds byte for byte cannot be tested here.
"""
import gzip, hashlib, io, json, os, re, tarfile, tempfile
from dataclasses import asdict, replace
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import yaml
from hub_server import TOKEN, Hub, run_client
from huggingface_hub import HfApi
from safetensors.numpy import load, save
from vidcls.data import data_root, SPLITS, video_table
from vidcls.engine.archive import download_ucf101_subset, UCF101_SUBSET_SHA256
from vidcls.engine.audit import audit_leakage
from vidcls.engine.recipes import get_recipe
from videos import write_model, write_video

UCF101 = get_recipe("ucf101", verbose=False)
ARCHIVE = "UCF101_subset.tar.gz"
REAL6 = Path(__file__).parents[2]/"shared"/"data"/"UCF101_real6.tar.gz"


# ---------------------------------------------------------------------------------------------- what the Hub holds

LABELS = ("JumpRope", "PushUps")


def avi(seed, frames=24, size=(64, 48)):
    "A tiny AVI (MPEG-4 part 2, 25 fps) with a square that moves: right for even seeds, down for odd ones."
    def draw(i, h, w):
        picture = np.full((h, w, 3), 40 + 5*seed, np.uint8)
        x, y = (i, 10) if seed % 2 == 0 else (10, i)
        picture[y:y + 12, x:x + 12] = 220
        return picture
    with tempfile.TemporaryDirectory() as d:
        return write_video(Path(d)/"a.avi", frames, size=size, draw=draw).read_bytes()


def tar(files):
    "A plain tar of name to bytes, in this order, files only: as the Hub's archive is packed."
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as out:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    return file.getvalue()


def data_set(labels=LABELS):
    "An archive in the layout of the Hub's: 3/1/1 videos a class, no group in two splits."
    groups = {"train": (8, 9, 10), "val": (1,), "test": (2,)}
    return tar({f"UCF101_subset/{split}/{label}/v_{label}_g{g:02}_c01.avi": avi(2*g + i)
                for split in SPLITS for i, label in enumerate(labels) for g in groups[split]})


@pytest.fixture(scope="session")
def tiny(): return data_set()


def published_weights(rng, config):
    "Random weights under the names that VideoMAE's published pre-training checkpoints have."
    shapes, tubelet = {}, (config["num_channels"], config["tubelet_size"], config["patch_size"], config["patch_size"])
    def linear(name, inp, out, bias=True):
        shapes.update({f"{name}.weight": (out, inp)} | ({f"{name}.bias": (out,)} if bias else {}))
    def norm(name, size): shapes.update({f"{name}.weight": (size,), f"{name}.bias": (size,)})
    def layer(name, hidden, middle):
        for part in ("query", "key", "value"): linear(f"{name}.attention.attention.{part}", hidden, hidden, bias=False)
        shapes.update({f"{name}.attention.attention.{b}": (hidden,) for b in ("q_bias", "v_bias")})
        linear(f"{name}.attention.output.dense", hidden, hidden)
        linear(f"{name}.intermediate.dense", hidden, middle)
        linear(f"{name}.output.dense", middle, hidden)
        norm(f"{name}.layernorm_before", hidden)
        norm(f"{name}.layernorm_after", hidden)
    hidden, small = config["hidden_size"], config["decoder_hidden_size"]
    shapes["videomae.embeddings.patch_embeddings.projection.weight"] = (hidden, *tubelet)
    shapes["videomae.embeddings.patch_embeddings.projection.bias"] = (hidden,)
    for i in range(config["num_hidden_layers"]):
        layer(f"videomae.encoder.layer.{i}", hidden, config["intermediate_size"])
    norm("videomae.layernorm", hidden)
    linear("encoder_to_decoder", hidden, small, bias=False)
    shapes["mask_token"] = (1, 1, small)
    for i in range(config["decoder_num_hidden_layers"]):
        layer(f"decoder.decoder_layers.{i}", small, config["decoder_intermediate_size"])
    norm("decoder.norm", small)
    linear("decoder.head", small, int(np.prod(tubelet)))
    return {name: rng.normal(0, .3, shape).astype("float32") for name, shape in shapes.items()}


# What `MCG-NJU/videomae-base` has held since 2022, byte for byte once written as `published` does
CONFIG = dict(
    architectures=["VideoMAEForPreTraining"], attention_probs_dropout_prob=0., decoder_hidden_size=384, decoder_intermediate_size=1536,
    decoder_num_attention_heads=6, decoder_num_hidden_layers=4, hidden_act="gelu", hidden_dropout_prob=0., hidden_size=768,
    image_size=224, initializer_range=.02, intermediate_size=3072, layer_norm_eps=1e-12, model_type="videomae", norm_pix_loss=True,
    num_attention_heads=12, num_channels=3, num_frames=16, num_hidden_layers=12, patch_size=16, qkv_bias=True, torch_dtype="float32",
    transformers_version="4.22.0.dev0", tubelet_size=2, use_mean_pooling=False)
PROCESSOR = dict(do_center_crop=True, do_normalize=True, do_resize=True, feature_extractor_type="VideoMAEFeatureExtractor",
                 image_mean=[.485, .456, .406], image_std=[.229, .224, .225], resample=2, size=224)
CHECKSUMS = {"config.json": "5fbedfea3706bd9fe6c0dc706beeb501ae72e4954703e03bebe3406f046f8212",
             "preprocessor_config.json": "c3aa722f22a7ff0d234d407862025fe47672f74f46f92c91f757f7a7354107c2"}
SMALL = dict(hidden_size=24, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, num_frames=4,
             decoder_hidden_size=16, decoder_intermediate_size=32, decoder_num_hidden_layers=1, decoder_num_attention_heads=2)


def published(settings): return json.dumps(settings, indent=2, sort_keys=True) + "\n"


def published_checkpoint(seed):
    "The files of `MCG-NJU/videomae-base`, only with fewer and narrower layers, 4 frames, and random weights."
    config = CONFIG | SMALL
    weights = save(published_weights(np.random.default_rng(seed), config), {"format": "pt"})
    return {"README.md": "---\nlicense: cc-by-nc-4.0\n---\n# VideoMAE", "config.json": published(config),
            "preprocessor_config.json": published(PROCESSOR), "model.safetensors": weights}


def test_served_checkpoint_is_like_the_published_one():
    "The settings that the small checkpoint is made from are the real ones."
    found = {"config.json": CONFIG, "preprocessor_config.json": PROCESSOR}
    assert {name: hashlib.sha256(published(s).encode()).hexdigest() for name, s in found.items()} == CHECKSUMS


@pytest.fixture
def hub(tmp_path, monkeypatch):
    "An empty Hub that this process's `huggingface_hub` and `vidcls` know as theirs."
    with Hub() as hub:
        hub.lead_here(monkeypatch, tmp_path)
        yield hub
        huggingface_hub.close_session()
        assert not hub.unserved()


def serve(hub, archive):
    "Put an archive where the recipe looks for it; returns its checksum."
    hub.add_repo(UCF101.data, {"README.md": "# UCF101 subset", ARCHIVE: archive}, "dataset", commit=UCF101.data_revision)
    return hashlib.sha256(archive).hexdigest()


def refusal(error, call, *args, **kw):
    "The message of an error; it must be one plain sentence or two, on one line."
    with pytest.raises(error) as caught: call(*args, **kw)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400, message
    return message


# ---------------------------------------------------------------------------------------------- the data set

@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain tar", "gzip"])
def test_data_set_arrives_once(hub, tiny, tmp_path, packed):
    "Downloaded at the pinned commit, compared, unpacked; after that nothing is asked, not even by a second folder."
    checksum = serve(hub, packed(tiny))
    root = download_ucf101_subset(tmp_path/"data", sha256_expected=checksum, progress=False)
    table = video_table(root)
    assert root == tmp_path/"data"/"UCF101_subset" and len(table) == 10 and audit_leakage(table).ok
    assert table.split.value_counts().to_dict() == {"train": 6, "val": 2, "test": 2}
    assert [(r.method, r.status) for r in hub.requests(match=ARCHIVE)] == [("HEAD", 302), ("GET", 200)]
    assert all(f"/resolve/{UCF101.data_revision}/" in r.path for r in hub.requests("HEAD"))
    hub.log.clear()
    assert download_ucf101_subset(tmp_path/"data", progress=False) == root
    assert len(video_table(download_ucf101_subset(tmp_path/"more", sha256_expected=checksum, progress=False))) == 10
    assert not hub.log


def test_damaged_data_set_is_refused_then_replaced(hub, tiny, tmp_path):
    "Wrong bytes of the right size: nothing is unpacked or kept, and the next run gets the right ones."
    checksum = serve(hub, tiny)
    hub.corrupt(ARCHIVE)
    assert checksum in refusal(ValueError, download_ucf101_subset, tmp_path/"data", sha256_expected=checksum, progress=False)
    assert not any((tmp_path/"data").rglob("*"))
    assert len(video_table(download_ucf101_subset(tmp_path/"data", sha256_expected=checksum, progress=False))) == 10


def test_other_content_at_the_pinned_commit_is_refused(hub, tiny, tmp_path):
    "Without an own checksum the real archive's counts. The file is what the Hub has, so it stays in the cache."
    serve(hub, tiny)
    for _ in range(2):
        message = refusal(ValueError, download_ucf101_subset, tmp_path/"data", progress=False)
        assert UCF101_SUBSET_SHA256 in message
    assert not any((tmp_path/"data").rglob("*"))
    assert len(hub.requests("GET", ARCHIVE)) == 1


@pytest.mark.parametrize("repo_id, revision", [("tester/one", None), ("tester/one", "d"*40), (UCF101.data, "d"*40),
                                               (UCF101.data, "main")])
def test_the_pinned_checksum_is_not_that_of_other_archives(hub, tiny, tmp_path, repo_id, revision):
    "Another repository or commit has another archive, which is unpacked; refused for a given checksum, it stays in the cache."
    hub.add_repo(repo_id, {ARCHIVE: tiny}, "dataset", commit="d"*40)
    download = lambda **kw: download_ucf101_subset(tmp_path/"data", repo_id, revision, progress=False, **kw)
    message = refusal(ValueError, download, sha256_expected="0"*64)
    assert "0"*64 in message and f"{ARCHIVE} of {repo_id}" in message and "the download is complete" in message
    assert len(video_table(download())) == 10
    assert len(hub.requests("GET", ARCHIVE)) == 1


@pytest.mark.parametrize("times", [1, 3])
def test_interrupted_download_is_resumed(hub, tiny, tmp_path, times):
    "The bytes that came before the connection broke are not asked for again (the client keeps them in pieces of 10 MB)."
    archive = tiny + bytes(35*10**6)  # A tar may end in as many zeros as it likes
    checksum = serve(hub, archive)
    hub.cut(ARCHIVE, after=12*10**6, times=times)
    root = download_ucf101_subset(tmp_path/"data", sha256_expected=checksum, progress=False)
    assert len(video_table(root)) == 10
    piece = huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE
    assert [r.range for r in hub.requests("GET", ARCHIVE)] == [None] + [f"bytes={i*piece}-" for i in range(1, times + 1)]


@pytest.mark.parametrize("fault", [dict(after=10**5, reset=True), dict(after=0, times=6)], ids=["reset", "never a byte"])
def test_download_that_fails_says_so(hub, tiny, tmp_path, fault):
    "A connection that the client gives up is one plain OSError, and the next run works."
    checksum = serve(hub, tiny + bytes(10**6))
    hub.cut(ARCHIVE, **fault)
    message = refusal(OSError, download_ucf101_subset, tmp_path/"data", sha256_expected=checksum, progress=False)
    assert "VIDCLS_RECIPE=stick" in message and ARCHIVE in message
    assert not any((tmp_path/"data").rglob("*"))
    assert len(video_table(download_ucf101_subset(tmp_path/"data", sha256_expected=checksum, progress=False))) == 10


@pytest.mark.parametrize("how", ["nobody listens", "HF_HUB_OFFLINE"])
def test_without_network(hub, tmp_path, monkeypatch, how):
    "One plain sentence that names the way that needs no network."
    if how == "HF_HUB_OFFLINE": monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    else: hub.__exit__()
    message = refusal(OSError, download_ucf101_subset, tmp_path/"data", progress=False)
    assert "VIDCLS_RECIPE=stick" in message and ARCHIVE in message
    assert not (tmp_path/"data").exists()


@pytest.mark.parametrize("what, kw", [
    ("nobody/nothing", dict(repo_id="nobody/nothing")),
    ("f"*40, dict(revision="f"*40)),
    ("UCF101_subset.tar.gz", dict(repo_id="tester/empty", revision=None))])
def test_what_the_hub_does_not_have_is_named(hub, tiny, tmp_path, what, kw):
    "Repository, commit or file: the message says which one is not there, and does not blame the connection."
    serve(hub, tiny)
    hub.add_repo("tester/empty", {"README.md": ""}, "dataset")
    message = refusal(OSError, download_ucf101_subset, tmp_path/"data", progress=False, **kw)
    assert what in message and "connection" not in message


def test_data_sets_are_not_mixed_up(hub, tiny):
    "Another data set of the Hub, or another commit of the same, never passes for the one that is on the disk already."
    old = hub.add_repo("tester/one", {ARCHIVE: tiny}, "dataset")
    new = hub.add_repo("tester/one", {ARCHIVE: data_set(("Diving",))}, "dataset")
    hub.add_repo("tester/two", {ARCHIVE: data_set(("Archery", "Surfing"))}, "dataset")
    def labels(data, revision):
        return sorted(set(video_table(data_root(replace(UCF101, data=data, data_revision=revision), False)).label))
    assert labels("tester/one", old) == list(LABELS)
    assert labels("tester/two", None) == ["Archery", "Surfing"]
    assert labels("tester/one", new) == ["Diving"]
    assert labels("tester/one", old) == list(LABELS)


def test_hostile_archive_stays_outside(hub, tmp_path):
    "An archive that reaches out of its folder is refused as a whole."
    checksum = serve(hub, tar({"UCF101_subset/train/A/v_A_g01_c01.avi": b"x", "UCF101_subset/../../outside.avi": b"x"}))
    refusal(ValueError, download_ucf101_subset, tmp_path/"data", sha256_expected=checksum, progress=False)
    assert not list(tmp_path.rglob("*.avi"))


@pytest.mark.skipif(not REAL6.exists(), reason="shared/data/UCF101_real6.tar.gz is not here")
def test_genuine_videos(hub, tmp_path):
    "102 clips of UCF101, packed as the Hub's archive is, over a line that breaks once."
    checksum = serve(hub, REAL6.read_bytes())
    hub.cut(ARCHIVE, after=25*10**6)
    table = video_table(download_ucf101_subset(tmp_path/"data", sha256_expected=checksum, progress=False))
    assert table.split.value_counts().to_dict() == {"train": 60, "val": 12, "test": 30} and table.label.nunique() == 6
    assert audit_leakage(table).ok
    assert [r.status for r in hub.requests("GET", ARCHIVE)] == [200, 206]


# ---------------------------------------------------------------------------------------------- the checkpoint, and back

def from_hub_to_hub(recipe, folder, repo_id):
    "In a process of its own, just one since importing torch and transformers is what takes long: a user's whole way."
    from vidcls.data import data_root
    from vidcls.infer import predict
    from vidcls.engine.recipes import Recipe
    from vidcls.model import load_model
    from vidcls.share import push_model
    from vidcls.train import finetune
    recipe = Recipe(**recipe)
    model = load_model(recipe.checkpoint, {k: i for i, k in enumerate(LABELS)}, revision=recipe.checkpoint_revision)
    loaded = dict(report=model.load_report.values.tolist(), id2label=model.config.id2label,
                  biases={k: v.tolist() for k, v in model.state_dict().items() if k.endswith(("query.bias", "value.bias"))})
    result = finetune(recipe, folder, push_to_hub=repo_id, workers=0, progress=False)
    trained = dict(steps=max(h["step"] for h in result.history), metrics=result.metrics, skipped=result.skipped)
    video = str(next(data_root(recipe, False).glob("test/*/*.avi")))
    from_hub, from_disk = predict(repo_id, video), predict(folder, video)
    def refused(call, *args, **kw):
        try: call(*args, **kw)
        except OSError as error: return str(error)
    messages = dict(foreign=refused(push_model, folder, "somebody/else"), missing=refused(predict, "nobody/nothing", video),
                    wrong_token=refused(push_model, folder, repo_id, token="hf_wrong"))
    del os.environ["HF_TOKEN"]
    messages["no_token"] = refused(finetune, recipe, folder + "-2", push_to_hub=repo_id, workers=0, progress=False)
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    again = predict(repo_id, video), load_model(recipe.checkpoint, {"a": 0}, revision=recipe.checkpoint_revision).config.num_frames
    return dict(loaded=loaded, trained=trained, from_hub=from_hub, from_disk=from_disk, offline=again, messages=messages)


def check_loaded(loaded, served):
    "Every encoder weight came from the file, q and v biases among them; the decoder was dropped, the classifier is new."
    old = {k: k.replace("query.bias", "q_bias").replace("value.bias", "v_bias") for k in loaded["biases"]}
    assert len(old) == 2*SMALL["num_hidden_layers"] and all(np.ptp(served[k]) > .1 for k in old.values())
    assert loaded["biases"] == {k: served[old[k]].tolist() for k in old}
    assert loaded["id2label"] == {str(i): k for i, k in enumerate(LABELS)}
    encoder, decoder = (sum(k.startswith(part) for k in served) for part in ("videomae.", "decoder."))
    assert {(part, status): n for part, status, n in loaded["report"]} == {
        ("encoder", "loaded"): encoder, ("decoder", "dropped"): decoder, ("encoder_to_decoder", "dropped"): 1,
        ("mask_token", "dropped"): 1, ("classifier", "new"): 2}


def check_pushed(hub, repo_id, folder):
    "The Hub has what the folder has, private, with a card that it understands; the token went to the Hub and nowhere else."
    local = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert {k: v for k, v in hub.files(repo_id).items() if k != ".gitattributes"} == local
    assert {"config.json", "model.safetensors", "clip_spec.json", "vidcls.json", "README.md"} <= set(local)
    assert not any(str(folder.parent).encode() in data for data in local.values())  # Nobody need know this machine's paths
    assert hub.requests("POST", "/api/repos/create")[0].json()["visibility"] == "private"
    assert {r.token for r in hub.requests("POST", "/commit/")} == {TOKEN}
    assert {r.token for r in hub.log if r.server == "storage"} == {None}
    info = HfApi().model_info(repo_id)
    assert (info.pipeline_tag, info.library_name) == ("video-classification", "transformers")
    assert info.cardData["license"] == "cc-by-nc-4.0"  # As VideoMAE's published weights
    (score,) = huggingface_hub.ModelCard(local["README.md"].decode()).data.eval_results
    assert (score.metric_type, score.dataset_split, score.dataset_revision) == ("accuracy", "test", "d"*40)
    parse_eval_result_entries = pytest.importorskip("huggingface_hub", "1.5").parse_eval_result_entries
    (entry,) = parse_eval_result_entries(yaml.safe_load(hub.files(repo_id)[".eval_results/accuracy.yaml"]))
    assert (entry.dataset_id, entry.value) == (score.dataset_type, score.metric_value) == ("tester/tiny-ucf101", score.metric_value)


def test_from_hub_to_hub(hub, tiny, tmp_path):
    "Data and checkpoint from the Hub, one step of training, the model to the Hub, and from there to a prediction."
    hub.add_repo("tester/tiny-ucf101", {ARCHIVE: tiny}, "dataset", commit="d"*40)
    hub.add_repo(UCF101.checkpoint, published_checkpoint(0), commit=UCF101.checkpoint_revision)
    hub.add_repo(UCF101.checkpoint, published_checkpoint(1))  # `main` has moved on
    recipe = replace(UCF101, name="tiny", data="tester/tiny-ucf101", data_revision="d"*40, epochs=1, batch_size=6, eval_clips=2)
    folder, repo_id = tmp_path/"model", "tester/my-model"
    answer = run_client(from_hub_to_hub, asdict(recipe), str(folder), repo_id, hub=hub, home=tmp_path, HF_TOKEN=TOKEN)
    done, trained = answer.value, answer.value["trained"]

    check_loaded(done["loaded"], load(hub.files(UCF101.checkpoint, revision=UCF101.checkpoint_revision)["model.safetensors"]))
    assert all(f"/resolve/{UCF101.checkpoint_revision}/" in r.path for r in hub.requests("HEAD", UCF101.checkpoint))
    assert (trained["steps"], trained["skipped"], trained["metrics"]["videos"], trained["metrics"]["clips"]) == (1, [], 2, 4)
    check_pushed(hub, repo_id, folder)
    assert done["from_hub"] == done["from_disk"] == done["offline"][0] and done["offline"][1] == SMALL["num_frames"]
    assert sorted(p["label"] for p in done["from_hub"]) == list(LABELS)
    assert sum(p["score"] for p in done["from_hub"]) == pytest.approx(1, abs=1e-4)
    words = dict(foreign="somebody/else.*403", wrong_token="401|token", missing="(?i)not found|no such", no_token="HF_TOKEN")
    for name, message in done["messages"].items(): assert re.search(words[name], message) and "\n" not in message, message
    assert not Path(f"{folder}-2").exists()  # Who has no token need not train first to learn it
    assert len(hub.requests("GET", "model.safetensors")) == 2  # The checkpoint and the model, once each
    written = [p.read_bytes().decode("latin1") for p in tmp_path.rglob("*") if p.is_file()]
    assert not any(TOKEN in text for text in (answer.stdout, answer.stderr, *written))


# ---------------------------------------------------------------------------------------------- data sets and Spaces

@pytest.fixture
def films(tmp_path):
    "A table of three parts of two videos, with groups and times."
    import pandas as pd
    paths = [str(write_video(tmp_path/"films"/f"{name}.avi", 8)) for name in ("a", "b")]
    return pd.DataFrame(dict(path=[paths[0], paths[0], paths[1]], split=["train", "train", "test"], label=["007", "NA", "007"],
                             group=["kitchen", "kitchen", "hall"], start=[0., 1., 0.], end=[1., 2., 1.]))


def test_data_set_is_pushed_and_comes_back(hub, films, tmp_path):
    "Videos, metadata and a card in one commit, private; what is downloaded is the same table, and names no path of here."
    from vidcls.engine.hub import push_dataset
    address = push_dataset(films, "tester/films", token=TOKEN)
    assert address.startswith(f"{hub.url}/datasets/tester/films/commit/") and len(hub.requests("POST", "/commit/")) == 1
    assert hub.requests("POST", "/api/repos/create")[0].json()["visibility"] == "private"
    files = hub.files("tester/films", "dataset")
    assert not any(str(tmp_path).encode() in data for data in files.values())
    assert b"license: other" in files["README.md"] and b"| 007 | 1 | 1 |" in files["README.md"]
    back = video_table(huggingface_hub.snapshot_download("tester/films", repo_type="dataset", local_dir=tmp_path/"back"))
    known = [c for c in films if c != "path"]
    back, films = (t.sort_values(["split", "label"], ignore_index=True) for t in (back, films))
    assert back[known].equals(films[known]) and [Path(p).name for p in back.path] == [Path(p).name for p in films.path]


def test_examples_go_to_the_hub_only_if_asked_for(hub, films, tmp_path, monkeypatch, capsys):
    "As GIFs in the card, each class once, the second time instead of the first; a folder without a card keeps what it has."
    from vidcls.engine import cli
    from vidcls.engine.recipes import RECIPES
    from vidcls.share import model_card
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    model = write_model(tmp_path/"model", labels=("007", "NA"))
    record = dict(recipe=asdict(RECIPES["stick"]), labels=["007", "NA"], metrics={})
    (model/"vidcls.json").write_text(json.dumps(record))
    (model/"README.md").write_text(model_card(record))
    films.assign(start=[0, .16, 0], end=[.16, .32, .32])[["path", "label", "group", "start", "end"]].to_csv(tmp_path/"films.csv", index=False)
    assert cli.main(["push", str(model), "--to", "tester/plain"]) == 0
    assert not any("examples" in f for f in hub.files("tester/plain"))
    for _ in range(2): assert cli.main(["push", str(model), "--to", "tester/shown", "--examples", str(tmp_path/"films.csv")]) == 0
    files = hub.files("tester/shown")
    assert {f for f in files if f.startswith("examples/")} == {"examples/0.gif", "examples/1.gif"}
    assert all(files[f"examples/{i}.gif"].startswith(b"GIF8") for i in range(2))
    card = files["README.md"].decode()
    assert card.count("## Examples") == 1 and "| ![](examples/0.gif) | ![](examples/1.gif) |" in card and "| shows 007 | shows NA |" in card
    (model/"README.md").write_text("Mine")
    assert cli.main(["push", str(model), "--to", "tester/shown", "--examples", str(tmp_path/"films.csv")]) == 1
    assert "is not a card that vidcls wrote" in capsys.readouterr().err and (model/"README.md").read_text() == "Mine"


def test_space_is_pinned(hub, monkeypatch, capsys):
    "The app names the model's commit, every package has one version, and it goes to a Gradio Space."
    from vidcls.engine import cli, hub as H
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(H, "vidcls_requirement", lambda: "vidcls @ git+https://example.org/vidcls@v1")
    installed = H.installed_version
    monkeypatch.setattr(H, "installed_version", lambda name: "6.31.0" if name == "gradio" else installed(name))
    commit = hub.add_repo("tester/model", {"clip_spec.json": "{}", "README.md": "---\nlicense: cc-by-nc-4.0\n---\n"})
    assert cli.main(["push", "tester/model", "--space", "tester/app"]) == 0
    asked = hub.requests("POST", "/api/repos/create")[0].json()
    assert (asked["type"], asked["sdk"], asked["visibility"]) == ("space", "gradio", "private")
    files = hub.files("tester/app", "space")
    assert f"model_folder('tester/model', '{commit}')".encode() in files["app.py"]
    front = yaml.safe_load(files["README.md"].decode().split("---")[1])
    assert (front["sdk_version"], front["license"], front["models"]) == ("6.31.0", "cc-by-nc-4.0", ["tester/model"])
    assert all("==" in line or "@" in line for line in files["requirements.txt"].decode().splitlines())
    assert "/spaces/tester/app/commit/" in capsys.readouterr().out


def test_nothing_is_uploaded_if_a_part_of_it_cannot_be(hub, tmp_path, monkeypatch, capsys):
    "A Space needs a model on the Hub; each name is checked first."
    from vidcls.engine import cli
    monkeypatch.chdir(tmp_path)
    model = write_model(tmp_path/"models"/"jump")
    (model/"vidcls.json").write_text(json.dumps(dict(recipe=asdict(get_recipe("stick", verbose=False)), labels=["Nod", "Wave"], metrics={})))
    for token, args, status, says in (
            (TOKEN, ["models/jump", "--space", "tester/app"], 2, "models/jump is on this machine, but a Space shows a model on the Hub: also give --to owner/name."),
            (TOKEN, ["models/jump", "--to", "jump"], 1, "'jump' is not the name of a repository on the Hub: write it as owner/name."),
            (TOKEN, ["models/jump", "--to", "tester/jump", "--space", "app"], 1, "'app' is not the name of a repository on the Hub: write it as owner/name."),
            (TOKEN, ["jump", "--space", "tester/app"], 1, "'jump' is not the name of a repository on the Hub: write it as owner/name."),
            ("", ["models/jump", "--to", "tester/jump", "--space", "tester/app"], 1, "Pushing needs a token: set HF_TOKEN or run `hf auth login`.")):
        monkeypatch.setenv("HF_TOKEN", token)
        capsys.readouterr()
        assert cli.main(["push", *args]) == status and capsys.readouterr().err == f"vidcls push: {says}\n"
    assert not hub.requests("POST")


def test_what_cannot_be_pushed_says_so(hub, films):
    "No owner, no token, a foreign name, a model that is not ours, a video that is not here, nobody listens."
    from vidcls.engine.hub import push_dataset, push_space
    hub.add_repo("tester/other", {"config.json": "{}"})
    assert "owner/name" in refusal(ValueError, push_dataset, films, "films", token=TOKEN)
    assert "HF_TOKEN" in refusal(OSError, push_dataset, films, "tester/films")
    assert "403" in refusal(OSError, push_dataset, films, "somebody/films", token=TOKEN)
    assert "not contain a model" in refusal(ValueError, push_space, "tester/other", "tester/app", token=TOKEN)
    assert "nobody/nothing" in refusal(OSError, push_space, "nobody/nothing", "tester/app", token=TOKEN)
    assert "not a file" in refusal(OSError, push_dataset, films.assign(path="no.avi"), "tester/films", token=TOKEN)
    hub.__exit__()
    assert "tester/films" in refusal(OSError, push_dataset, films, "tester/films", token=TOKEN)

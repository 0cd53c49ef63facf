"The real `huggingface_hub` client against the small Hub of `hub_server.py`: what vidcls relies on, and what breaks on a bad line."
import hashlib, os
from pathlib import Path

import huggingface_hub
import pytest
from hub_server import TOKEN, Hub, run_client
from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError, RemoteEntryNotFoundError,
                                    RepositoryNotFoundError, RevisionNotFoundError)
from huggingface_hub.utils import httpx

PINNED = "b9984b8d2a95e4a1879e1b071e9433858d0bc24a"
DATASET, MODEL, ARCHIVE = "sayakpaul/ucf101-subset", "MCG-NJU/videomae-base", "UCF101_subset.tar.gz"
ARCHIVE_BYTES = os.urandom(300_000)


@pytest.fixture
def hub():
    "A Hub with a data set at the pinned commit, an older commit of it, and a model."
    with Hub() as hub:
        hub.add_repo(DATASET, {"README.md": "old"}, "dataset", commit="0"*40)
        hub.add_repo(DATASET, {"README.md": "# UCF101 subset", ARCHIVE: ARCHIVE_BYTES}, "dataset", commit=PINNED)
        hub.add_repo(MODEL, {"config.json": "{}", "sub/notes.txt": "hello", "model.safetensors": b"w"*5000,
                             "README.md": "---\nlicense: cc-by-nc-4.0\npipeline_tag: video-classification\n---\n"})
        yield hub
        assert not hub.unserved()


@pytest.fixture(autouse=True)
def client(hub, tmp_path, monkeypatch):
    "The client of this process, whatever the environment says."
    hub.lead_here(monkeypatch, tmp_path)
    yield
    huggingface_hub.close_session()


@pytest.fixture
def api(): return HfApi(token=TOKEN)


@pytest.fixture
def get():
    "`hf_hub_download` that returns a `Path`."
    def get(repo_id, filename, repo_type=None, **kw): return Path(hf_hub_download(repo_id, filename, repo_type=repo_type, **kw))
    return get

# An upload's stream goes to httpx as `data`, which it would rather call `content`
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


# ---------------------------------------------------------------------------------------------- downloads

def test_small_and_large_file_at_a_pinned_revision(hub, get):
    "A small file comes from the hub, an LFS file through a redirect from the storage; a second call asks nothing."
    assert get(DATASET, "README.md", "dataset", revision=PINNED).read_text() == "# UCF101 subset"
    assert get(DATASET, "README.md", "dataset", revision="0"*40).read_text() == "old"
    path = get(DATASET, ARCHIVE, "dataset", revision=PINNED)
    assert path.read_bytes() == ARCHIVE_BYTES and PINNED in str(path)
    assert path.resolve().name == hashlib.sha256(ARCHIVE_BYTES).hexdigest()  # The cache names an LFS file by its checksum
    assert [(r.method, r.server, r.status) for r in hub.requests(match=ARCHIVE)] == [("HEAD", "hub", 302), ("GET", "storage", 200)]
    hub.log.clear()
    assert get(DATASET, ARCHIVE, "dataset", revision=PINNED) == path and not hub.log


def test_snapshot_of_a_branch(hub, tmp_path):
    "A branch name is turned into its commit, then every file is fetched."
    folder = Path(snapshot_download(MODEL))
    assert folder.name == hub.repos["model", MODEL].refs["main"]
    assert {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == hub.files(MODEL)
    only = snapshot_download(MODEL, local_dir=tmp_path/"local", allow_patterns="sub/*")
    assert [p.name for p in Path(only).rglob("*.txt")] == ["notes.txt"]


def test_a_cut_connection_is_resumed(hub, get):
    "The next request asks for the rest by a Range, counted in the client's pieces of 10 MB, and the file is whole."
    piece, data = constants.DOWNLOAD_CHUNK_SIZE, os.urandom(25*10**6)
    hub.add_repo("tester/big", {"big.bin": data}, commit=PINNED)
    hub.cut("big.bin", after=12*10**6)
    hub.cut("big.bin", after=14*10**6)
    assert get("tester/big", "big.bin", revision=PINNED).read_bytes() == data
    sent = [(r.range, r.status, r.sent) for r in hub.requests("GET", "big.bin")]
    assert sent == [(None, 200, 12*10**6), (f"bytes={piece}-", 206, 14*10**6), (f"bytes={2*piece}-", 206, len(data) - 2*piece)]


def test_a_line_that_never_holds_is_given_up(hub, get, tmp_path):
    "Six attempts without a byte are enough; the next call starts anew and nothing half-read is taken for the file."
    hub.cut(ARCHIVE, after=0, times=6)
    with pytest.raises(httpx.RemoteProtocolError): get(DATASET, ARCHIVE, "dataset", revision=PINNED)
    assert len(hub.requests("GET", ARCHIVE)) == 6
    assert get(DATASET, ARCHIVE, "dataset", revision=PINNED).read_bytes() == ARCHIVE_BYTES


def test_a_reset_connection_is_not_resumed(hub, get):
    "The one break that `huggingface_hub` 2.4 does not survive: an error of httpx, which is no OSError."
    hub.cut(ARCHIVE, after=100_000, reset=True)
    with pytest.raises(httpx.ReadError): get(DATASET, ARCHIVE, "dataset", revision=PINNED)
    assert not issubclass(httpx.ReadError, OSError) and len(hub.requests("GET", ARCHIVE)) == 1


def test_the_client_does_not_see_wrong_bytes(hub, get):
    "`huggingface_hub` checks the size only, and keeps what it got: who wants the right bytes must check them."
    hub.corrupt(ARCHIVE)
    wrong = get(DATASET, ARCHIVE, "dataset", revision=PINNED).read_bytes()
    assert wrong != ARCHIVE_BYTES and len(wrong) == len(ARCHIVE_BYTES)
    assert get(DATASET, ARCHIVE, "dataset", revision=PINNED).read_bytes() == wrong
    assert get(DATASET, ARCHIVE, "dataset", revision=PINNED, force_download=True).read_bytes() == ARCHIVE_BYTES


def test_a_server_out_of_order_is_asked_again(hub, get):
    "503 on the metadata is retried; 503 on the bytes is an error at once."
    hub.unavailable("config.json", times=3)
    assert get(MODEL, "config.json").read_text() == "{}"
    assert [r.status for r in hub.requests("HEAD", "config.json")] == [503, 503, 503, 200]
    hub.unavailable(f"{hashlib.sha256(ARCHIVE_BYTES).hexdigest()}/")
    with pytest.raises(HfHubHTTPError, match="503"): get(DATASET, ARCHIVE, "dataset", revision=PINNED)


def test_a_slow_server_times_out_and_is_asked_again(hub, get, monkeypatch):
    "A download that stalls for longer than HF_HUB_DOWNLOAD_TIMEOUT is started again."
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", .3)
    hub.slow(f"{hashlib.sha256(ARCHIVE_BYTES).hexdigest()}/", seconds=1)
    assert get(DATASET, ARCHIVE, "dataset", revision=PINNED).read_bytes() == ARCHIVE_BYTES
    assert len(hub.requests("GET", ARCHIVE)) == 2


def test_ranges(hub):
    "206 with the part that was asked for, 416 for one that is not there."
    url = f"{hub.url}/{MODEL}/resolve/main/sub/notes.txt"
    def ask(part): return huggingface_hub.get_session().get(url, headers={"Range": f"bytes={part}"})
    assert [(ask(p).status_code, ask(p).content) for p in ("1-2", "3-", "-2")] == [(206, b"el"), (206, b"lo"), (206, b"lo")]
    assert ask("1-2").headers["Content-Range"] == "bytes 1-2/5"
    assert ask("9-").status_code == 416


@pytest.mark.parametrize("what, error", [
    (("nobody/nothing", "config.json"), RepositoryNotFoundError),
    ((DATASET, "README.md"), RepositoryNotFoundError),  # It is a data set, not a model
    ((MODEL, "config.json", None, "f"*40), RevisionNotFoundError),
    ((MODEL, "absent.json"), RemoteEntryNotFoundError)])
def test_what_is_missing_has_its_own_error(get, what, error):
    "404 with `X-Error-Code`: repository, revision, file."
    repo_id, filename, repo_type, revision = (*what, None, None)[:4]
    with pytest.raises(error): get(repo_id, filename, repo_type, revision=revision)


def test_no_server_at_all(hub, get):
    "Nobody listens: the client tries for a while, then says that it found nothing."
    hub.__exit__()
    with pytest.raises(LocalEntryNotFoundError, match="connection"): get(MODEL, "config.json")


# ---------------------------------------------------------------------------------------------- what a repository holds

def test_info_tree_and_paths(hub, api):
    "Commit, files, sizes, checksums, model card."
    found = api.model_info(MODEL, files_metadata=True)
    assert found.sha == hub.repos["model", MODEL].refs["main"] and found.pipeline_tag == "video-classification"
    assert "license:cc-by-nc-4.0" in found.tags
    assert {s.rfilename: s.size for s in found.siblings} == {path: len(data) for path, data in hub.files(MODEL).items()}
    assert api.dataset_info(DATASET).sha == PINNED
    assert [s.rfilename for s in api.dataset_info(DATASET, revision="0"*40).siblings] == ["README.md"]
    flat, deep = ({e.path for e in api.list_repo_tree(MODEL, recursive=r)} for r in (False, True))
    assert deep - flat == {"sub/notes.txt"} and "sub" in flat
    assert [e.path for e in api.list_repo_tree(MODEL, "sub")] == ["sub/notes.txt"]
    with pytest.raises(EntryNotFoundError): list(api.list_repo_tree(MODEL, "additional_chat_templates"))
    weights, folder = api.get_paths_info(MODEL, ["model.safetensors", "sub", "absent"])
    assert weights.lfs.sha256 == hashlib.sha256(b"w"*5000).hexdigest() and folder.path == "sub"
    assert api.file_exists(MODEL, "config.json") and not api.file_exists(MODEL, "absent")
    assert api.revision_exists(MODEL, "main") and not api.repo_exists("nobody/nothing")


# ---------------------------------------------------------------------------------------------- uploads

def test_upload_and_back(hub, api, tmp_path):
    "Folder and single files, small, of an LFS kind and above 10 MB; the large ones go to the storage, without the token."
    (tmp_path/"model/sub").mkdir(parents=True)
    files = {"README.md": b"---\nlicense: apache-2.0\n---\n# Mine\n", "config.json": b'{"a": 1}', "sub/labels.txt": b"x\n",
             "model.safetensors": os.urandom(50_000), "empty.txt": b""}
    for path, data in files.items(): (tmp_path/"model"/path).write_bytes(data)
    assert api.create_repo("mine").repo_id == "tester/mine"
    made = api.upload_folder(repo_id="tester/mine", folder_path=tmp_path/"model")
    files["huge.txt"] = b"0123456789abcdef"*700_000
    made = api.upload_file(repo_id="tester/mine", path_or_fileobj=files["huge.txt"], path_in_repo="huge.txt")
    assert made.oid == api.model_info("tester/mine").sha
    assert [r.sent for r in hub.requests("PUT", server="storage")] == [0, 0]
    assert {r.token for r in hub.requests(server="storage")} == {None} and {r.token for r in hub.requests("POST")} == {TOKEN}
    folder = Path(snapshot_download("tester/mine", token=False, ignore_patterns=".gitattributes"))
    assert {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == files


def test_what_is_there_is_not_sent_again(hub, api):
    "Unchanged files make no commit; stored LFS files make a commit, but no upload; a lost upload is retried."
    api.create_repo("tester/mine", repo_type="dataset")
    data = b"z"*100
    def upload(path): return api.upload_file(repo_id="tester/mine", repo_type="dataset", path_or_fileobj=data, path_in_repo=path).oid
    hub.unavailable("/" + hashlib.sha256(data).hexdigest())
    first = upload("a.bin")
    assert [r.status for r in hub.requests("PUT")] == [503, 200]
    assert upload("a.bin") == first and upload("b.bin") != first and len(hub.requests("PUT")) == 2
    assert len(hub.requests("POST", "/commit/")) == 2


def test_deletions_branches_and_pull_requests(hub, api):
    "The other kinds of commit."
    api.create_repo("mine")
    for path in ("a.txt", "f/b.txt", "f/c.txt"):
        api.upload_file(repo_id="tester/mine", path_or_fileobj=path.encode(), path_in_repo=path)
    api.delete_file("a.txt", "tester/mine")
    api.delete_folder("f", "tester/mine")
    assert set(hub.files("tester/mine")) == {".gitattributes"}
    api.create_branch("tester/mine", branch="try")
    api.upload_file(repo_id="tester/mine", path_or_fileobj=b"1", path_in_repo="a.txt", revision="try")
    pr = api.upload_file(repo_id="tester/mine", path_or_fileobj=b"2", path_in_repo="b.txt", create_pr=True)
    assert pr.pr_num == 1 and set(hub.files("tester/mine", revision=pr.pr_revision)) == {".gitattributes", "b.txt"}
    assert set(hub.files("tester/mine", revision="try")) == {".gitattributes", "a.txt"}
    with pytest.raises(HfHubHTTPError, match="412"):
        api.upload_file(repo_id="tester/mine", path_or_fileobj=b"3", path_in_repo="c.txt", parent_commit="0"*40)


def test_who_may_write(hub, api):
    "Name of the token's owner; 409 for a repository that exists, 403 for a foreign one, 401 without the right token."
    assert api.whoami()["name"] == "tester"
    api.create_repo("mine")
    assert api.create_repo("mine", exist_ok=True).repo_id == "tester/mine"
    def status(call, *args, **kw):
        with pytest.raises(HfHubHTTPError) as caught: call(*args, **kw)
        return caught.value.response.status_code
    assert status(api.create_repo, "mine") == 409
    assert status(api.create_repo, "somebody/else") == 403
    assert status(api.create_repo, "other", token=False) == 401
    assert status(api.whoami, token="hf_wrong") == 401
    assert status(api.upload_file, repo_id="tester/mine", path_or_fileobj=b"1", path_in_repo="a", token="hf_wrong") == 401
    assert status(api.upload_file, repo_id="tester/none", path_or_fileobj=b"1", path_in_repo="a") == 404
    assert status(api.model_info, MODEL, token="hf_wrong") == 401  # A wrong token is refused even for what is public


# ---------------------------------------------------------------------------------------------- a client of its own

def fresh_client(repo_id):
    "Runs in a process of its own: what users write, no endpoint anywhere."
    from huggingface_hub import HfApi, hf_hub_download
    path = Path(hf_hub_download(repo_id, "sub/notes.txt"))
    try: HfApi().list_repo_files("gone/astray")
    except RepositoryNotFoundError as error: message = str(error)
    return path.read_text(), str(path), message, HfApi().whoami()["name"]


def try_to_leave():
    "Runs in a process of its own, and goes where no test may go."
    import socket
    try: socket.create_connection(("192.0.2.1", 80), timeout=1)
    except ConnectionRefusedError: return "refused"


def test_a_process_of_its_own(hub, tmp_path):
    "HF_ENDPOINT leads the client here, its cache is under `home`, and the network ends at this machine."
    text, path, message, name = run_client(fresh_client, MODEL, hub=hub, home=tmp_path, token=TOKEN).value
    assert (text, name) == ("hello", "tester") and path.startswith(str(tmp_path)) and "gone/astray" in message
    assert {r.token for r in hub.log} == {TOKEN}
    with pytest.raises(AssertionError, match="192.0.2.1"): run_client(try_to_leave, hub=hub, home=tmp_path)

"""A Hugging Face Hub on 127.0.0.1, small enough to read, so that the real `huggingface_hub` client can be tested offline.

    with Hub() as hub:
        commit = hub.add_repo("sayakpaul/ucf101-subset", {"UCF101_subset.tar.gz": archive}, repo_type="dataset")
        hub.cut("UCF101_subset.tar.gz", after=12*10**6)                # the first download breaks off after 12 MB
        answer = run_client(download, commit, hub=hub, home=tmp_path)  # `download` runs in a new process, HF_ENDPOINT set
        assert [r.range for r in hub.requests("GET", "UCF101_subset.tar.gz")] == [None, "bytes=10485760-"]

As on the real Hub, there are two servers. The *hub* has the API and small files, and redirects to large (LFS) files; the
*storage* has the bytes of those, under another origin, where no token may go. Xet is not spoken: `Hub.env` switches it off.
Not served: pagination, multi-part uploads, discussions, private and gated repositories. A repository that is missing is a
404 with and without a token (the real Hub says 401 without one).
"""
import base64, hashlib, importlib, inspect, json, os, re, socket, struct, subprocess, sys, tempfile, threading, time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

TOKEN = "hf_for_the_test_hub_only"
MAX_REGULAR = 10*2**20  # Larger files go to LFS, as do these kinds:
LFS_KINDS = {".avi", ".bin", ".ckpt", ".gif", ".gz", ".mp4", ".npy", ".npz", ".onnx", ".parquet", ".pt", ".pth",
             ".safetensors", ".tar", ".zip"}
GITATTRIBUTES = "".join(f"*{kind} filter=lfs diff=lfs merge=lfs -text\n" for kind in sorted(LFS_KINDS))


# ---------------------------------------------------------------------------------------------- what is stored

def is_lfs(path, size):
    "Which files the Hub keeps in LFS: by kind (`.gitattributes`) or by size."
    return Path(path).suffix in LFS_KINDS or size > MAX_REGULAR


@dataclass(frozen=True)
class Blob:
    "Content of a file, with the names that git and LFS have for it."
    data: bytes
    lfs: bool

    @cached_property
    def sha256(self): return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def pointer(self):
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()

    @cached_property
    def git_oid(self):
        "SHA-1 of the git blob; for an LFS file, that of its pointer."
        stored = self.pointer if self.lfs else self.data
        return hashlib.sha1(b"blob %d\0" % len(stored) + stored).hexdigest()

    @property
    def etag(self): return self.sha256 if self.lfs else self.git_oid

    def lfs_info(self, key): return {key: self.sha256, "size": len(self.data), "pointerSize": len(self.pointer)}


@dataclass
class Repo:
    "A repository: commits (hash to files) and refs (name to hash)."
    repo_id: str
    repo_type: str
    commits: dict = field(default_factory=dict)
    refs: dict = field(default_factory=dict)

    @property
    def prefix(self): return "" if self.repo_type == "model" else f"{self.repo_type}s/"

    def commit_of(self, revision):
        "Full hash of a branch, a `refs/...` or a hash."
        revision = unquote(revision)
        found = self.refs.get(revision.removeprefix("refs/heads/"), revision)
        if found not in self.commits: raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return found

    def add_commit(self, files, branch="main", commit=None):
        "Point `branch` to a new commit that has exactly these files; its hash can be chosen."
        names = "".join(f"{p} {b.git_oid}\n" for p, b in sorted(files.items()))
        commit = commit or hashlib.sha1(f"{self.prefix}{self.repo_id} {len(self.commits)}\n{names}".encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.refs[branch] = commit
        return commit


# ---------------------------------------------------------------------------------------------- what is said

class Refused(Exception):
    "An error answer, with the headers that the client turns into its own exceptions."
    def __init__(self, status, code=None, message="", **headers):
        self.reply = Reply(status, {"error": message}, {"X-Error-Message": message, **headers})
        if code: self.reply.headers["X-Error-Code"] = code


@dataclass
class Reply:
    "An answer: a dict or list goes out as JSON, bytes as they are."
    status: int = 200
    body: object = b""
    headers: dict = field(default_factory=dict)

    def encode(self):
        if isinstance(self.body, bytes): return self.body
        self.headers.setdefault("Content-Type", "application/json; charset=utf-8")
        return json.dumps(self.body).encode()


@dataclass
class Request:
    "A line of the request log."
    server: str               # "hub" or "storage"
    method: str
    path: str                 # Without the query
    query: dict
    range: "str|None"         # The Range header
    token: "str|None"         # What came as "Authorization: Bearer ..."
    body: bytes = field(repr=False)
    status: int = 0           # What was answered, ...
    sent: int = 0             # ... and how many bytes of a body

    def json(self): return json.loads(self.body)


@dataclass
class Fault:
    "Something that goes wrong with the next `times` requests whose path contains `match`."
    kind: str
    match: str
    times: int
    value: float = 0


# ---------------------------------------------------------------------------------------------- who answers

ROUTES = []
REPO = r"(?P<repo>[^/]+(?:/[^/]+)?)"
API = rf"/api/(?P<kind>models|datasets|spaces)/{REPO}"
FILES = rf"/(?:(?P<kind>datasets|spaces)/)?{REPO}"


def route(methods, pattern, server="hub"):
    "Register a function as the answer to requests of these methods and this path."
    def register(function):
        ROUTES.append((server, methods.split(), re.compile(pattern), function))
        return function
    return register


class Hub:
    "Context manager: both servers, what they store, what they were asked, and what shall go wrong."
    def __init__(self, token=TOKEN, user="tester"):
        self.token, self.user = token, user
        self.repos, self.storage, self.log, self.faults = {}, {}, [], []
        self.lock, self.closing = threading.RLock(), threading.Event()

    def __enter__(self):
        self.servers = {name: _Server(self, name) for name in ("hub", "storage")}
        hosts = {"hub": "127.0.0.1", "storage": "localhost"}  # Old clients compare host names only, new ones ports too
        self.url, self.storage_url = (f"http://{hosts[s.name]}:{s.server_port}" for s in self.servers.values())
        for server in self.servers.values(): threading.Thread(target=server.serve_forever, args=(.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        for server in self.servers.values():
            server.shutdown()
            server.server_close()
            server.drop_connections()

    # -- filling it
    def add_repo(self, repo_id, files: Mapping = {}, repo_type="model", commit=None):
        "Make a repository whose `main` has these files (path to bytes, text or local path); returns the commit's hash."
        repo = self.repos.setdefault((repo_type, repo_id), Repo(repo_id, repo_type))
        return repo.add_commit({path: self._blob(path, content) for path, content in files.items()}, commit=commit)

    def files(self, repo_id, repo_type="model", revision="main"):
        "What a repository holds now: path to bytes."
        repo = self.repos[repo_type, repo_id]
        return {path: blob.data for path, blob in repo.commits[repo.commit_of(revision)].items()}

    def _blob(self, path, content):
        if isinstance(content, Path): content = content.read_bytes()
        if isinstance(content, str): content = content.encode()
        blob = Blob(content, is_lfs(path, len(content)))
        if blob.lfs: self.storage[blob.sha256] = blob
        return blob

    # -- what goes wrong, with the next `times` requests whose path contains `match`
    def cut(self, match, after, times=1, reset=False):
        "End the connection after so many bytes of a download; `reset` as a router does that forgot it, else politely."
        self.faults.append(Fault("reset" if reset else "cut", match, times, after))

    def corrupt(self, match, times=1):
        "Send wrong bytes, as many as the right ones."
        self.faults.append(Fault("corrupt", match, times))

    def slow(self, match, seconds, times=1):
        "Wait before the answer."
        self.faults.append(Fault("slow", match, times, seconds))

    def unavailable(self, match="", times=1, status=503):
        "Answer with a server's error."
        self.faults.append(Fault("status", match, times, status))

    def take_fault(self, path, kinds):
        "Kind and value of the fault that hits this request, counted down; twice None if there is none."
        with self.lock:
            for fault in self.faults:
                if fault.kind in kinds and fault.times > 0 and fault.match in unquote(path):
                    fault.times -= 1
                    return fault.kind, fault.value
        return None, None

    # -- what was asked
    def requests(self, method=None, match="", server=None):
        "The log's requests with this method, this text in the path, and this server."
        return [r for r in self.log if method in (None, r.method) and match in unquote(r.path) and server in (None, r.server)]

    def unserved(self):
        "Requests that this server does not know or stumbled over: a test that sees some should not trust itself."
        return [f"{r.method} {r.path}" for r in self.log if r.status == 501]

    # -- who may ask
    def env(self, home, token=None, **more):
        "The environment for a client: this Hub, an empty cache under `home`, no proxy, no Xet, no telemetry."
        ours = ("HF_", "HUGGING", "TRANSFORMERS_", "VIDCLS_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(ours) and not k.lower().endswith("_proxy")}
        mine = dict(HF_ENDPOINT=self.url, HF_HOME=str(Path(home)/"hf"), HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1",
                    VIDCLS_HOME=str(Path(home)/"vidcls"))
        if token: mine["HF_TOKEN"] = token
        return {**kept, **mine, **more}

    def lead_here(self, monkeypatch, home, token=None):
        "The same for the `huggingface_hub` of this very process, which then waits only briefly between two attempts."
        import huggingface_hub
        from huggingface_hub import constants
        template = self.url + "/{repo_id}/resolve/{revision}/{filename}"
        new = dict(ENDPOINT=self.url, HUGGINGFACE_CO_URL_TEMPLATE=template, HF_HUB_CACHE=str(Path(home)/"hf"/"hub"),
                   HF_TOKEN_PATH=str(Path(home)/"hf"/"token"), AGENT_HARNESSES_PATH=str(Path(home)/"hf"/"agents.json"),
                   HF_HUB_DISABLE_XET=True, HF_HUB_OFFLINE=False)
        for name, value in new.items(): monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("NO_PROXY", "*")
        monkeypatch.setenv("VIDCLS_HOME", str(Path(home)/"vidcls"))
        if token: monkeypatch.setenv("HF_TOKEN", token)
        else: monkeypatch.delenv("HF_TOKEN", raising=False)
        really_sleep = time.sleep
        monkeypatch.setattr(time, "sleep", lambda seconds: really_sleep(min(seconds, .05)))
        huggingface_hub.close_session()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub, name):
        self.hub, self.name, self.connections, self.to_reset = hub, name, set(), set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def drop_connections(self):
        "End the connections that clients keep open, so that no thread waits for them."
        for connection in list(self.connections):
            try: connection.shutdown(socket.SHUT_RDWR)
            except OSError: pass

    def shutdown_request(self, request):
        if request not in self.to_reset: return super().shutdown_request(request)
        self.to_reset.discard(request)
        request.close()

    def handle_error(self, request, client_address): pass  # A client that hangs up is no news


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self):
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, *_): pass

    def read_body(self):
        "The body, by its length or in chunks."
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip(): pass
        return b"".join(parts)

    def answer(self):
        "Log the request, let a fault happen, ask the route, send."
        hub, url = self.server.hub, urlsplit(self.path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        part = self.headers.get("Range")
        request = Request(self.server.name, self.command, url.path, parse_qs(url.query), part, token, self.read_body())
        hub.log.append(request)
        _, seconds = hub.take_fault(url.path, {"slow"})
        if seconds: hub.closing.wait(seconds)
        _, status = hub.take_fault(url.path, {"status"})
        try: reply = Reply(status, {"error": "Out of order"}) if status else self.dispatch(hub, request)
        except Refused as refused: reply = refused.reply
        except Exception as error: reply = Reply(501, {"error": f"The test Hub stumbles over this: {error!r}"})
        request.status = reply.status
        self.send(hub, request, reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def dispatch(self, hub, request):
        "Check the token, then find the route."
        if self.server.name == "hub" and request.token not in (None, hub.token):
            raise Refused(401, message="Invalid credentials in Authorization header")
        for server, methods, pattern, function in ROUTES:
            if server == self.server.name and request.method in methods and (m := pattern.fullmatch(request.path)):
                with hub.lock: return function(hub, request, **m.groupdict())
        raise Refused(501, message=f"The test Hub does not serve {request.method} {request.path}")

    def send(self, hub, request, reply):
        body = reply.encode()
        download = request.method == "GET" and reply.status < 300
        kind, value = hub.take_fault(request.path, {"cut", "reset", "corrupt"} if download else set())
        if kind == "corrupt": body = bytes(b ^ 0x55 for b in body[:4096]) + body[4096:]
        self.send_response(reply.status)
        headers = {"Content-Length": len(body), "X-Request-Id": f"test-{len(hub.log)}", **reply.headers}
        for name, header in headers.items():
            self.send_header(name, str(header))
        self.end_headers()
        if request.method == "HEAD": return
        if kind in ("cut", "reset"): body, self.close_connection = body[:int(value)], True
        request.sent = len(body)
        self.wfile.write(body)
        if kind == "reset":  # Closing without lingering sends RST instead of FIN
            time.sleep(.1)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.server.to_reset.add(self.connection)


# ---------------------------------------------------------------------------------------------- the protocol

def find(hub, repo, kind):
    "The repository of a path, or 404 `RepoNotFound`."
    key = (kind or "models").removesuffix("s"), unquote(repo)
    if key not in hub.repos: raise Refused(404, "RepoNotFound", "Repository not found")
    return hub.repos[key]


def must_write(hub, request):
    "Writing needs the token."
    if request.token != hub.token: raise Refused(401, message="Invalid username or password.")


def ranged(blob, request, headers):
    "A body, or with a Range header the part of it (206)."
    size, headers = len(blob.data), {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
    if not request.range: return Reply(200, blob.data, headers)
    first, last = re.fullmatch(r"bytes=(\d*)-(\d*)", request.range).groups()
    start, stop = (int(first), min(int(last or size - 1) + 1, size)) if first else (size - int(last), size)
    if not 0 <= start < stop: raise Refused(416, **{"Content-Range": f"bytes */{size}"})
    return Reply(206, blob.data[start:stop], {**headers, "Content-Range": f"bytes {start}-{stop-1}/{size}"})


@route("GET HEAD", FILES + r"/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(hub, request, kind, repo, revision, path):
    "A file at a revision: small ones at once, LFS files by a redirect to the storage with `X-Linked-*`."
    repo, path = find(hub, repo, kind), unquote(path)
    commit = repo.commit_of(revision)
    blob = repo.commits[commit].get(path)
    if blob is None: raise Refused(404, "EntryNotFound", "Entry not found", **{"X-Repo-Commit": commit})
    headers = {"X-Repo-Commit": commit, "ETag": f'"{blob.etag}"'}
    if not blob.lfs: return ranged(blob, request, headers)
    return Reply(302, b"", {**headers, "X-Linked-ETag": f'"{blob.sha256}"', "X-Linked-Size": len(blob.data),
                            "Location": f"{hub.storage_url}/{blob.sha256}/{quote(Path(path).name)}"})


@route("GET HEAD", r"/(?P<sha256>[0-9a-f]{64})/(?P<name>[^/]+)", server="storage")
def fetch(hub, request, sha256, name):
    "The bytes of an LFS file."
    if sha256 not in hub.storage: raise Refused(404)
    return ranged(hub.storage[sha256], request, {"ETag": f'"{sha256}"'})


@route("GET", API + r"(?:/revision/(?P<revision>[^/]+))?")
def info(hub, request, kind, repo, revision):
    "What the Hub says about a repository: commit, files (with sizes for `?blobs`), and what its model card declares."
    repo = find(hub, repo, kind)
    commit = repo.commit_of(revision or "main")
    files = repo.commits[commit]
    siblings = [{"rfilename": path} for path in sorted(files)]
    if "blobs" in request.query:
        for s in siblings:
            blob = files[s["rfilename"]]
            s.update(size=len(blob.data), blobId=blob.git_oid, **({"lfs": blob.lfs_info("sha256")} if blob.lfs else {}))
    card = card_data(files)
    tags = [f"license:{card['license']}"] if "license" in card else []
    return Reply(body={"_id": commit[:24], "id": repo.repo_id, "author": repo.repo_id.split("/")[0], "sha": commit, "private": False,
                       "gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": tags, "siblings": siblings,
                       "lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z",
                       "cardData": card, "pipeline_tag": card.get("pipeline_tag"), "library_name": card.get("library_name")})


def card_data(files):
    "The plain `key: value` lines of the README's front matter."
    text = files["README.md"].data.decode() if "README.md" in files else ""
    front = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    return dict(re.findall(r"^(\w+): *(\S.*)$", front[1], re.MULTILINE)) if front else {}


def entry(path, blob):
    "A file as `tree` and `paths-info` list it."
    size = {"size": len(blob.data)}
    return {"type": "file", "path": path, "oid": blob.git_oid, **size, **({"lfs": blob.lfs_info("oid")} if blob.lfs else {})}


def folders(files):
    "All folders above some files."
    return sorted({str(p) for path in files for p in Path(path).parents if str(p) != "."})


def folder_entry(path): return {"type": "directory", "path": path, "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0}


@route("GET", API + r"/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?")
def tree(hub, request, kind, repo, revision, path):
    "What a folder holds, with `?recursive=true` all the way down."
    repo = find(hub, repo, kind)
    files, top = repo.commits[repo.commit_of(revision)], Path(unquote(path or "."))
    if path and str(top) not in folders(files): raise Refused(404, "EntryNotFound", f"{top} does not exist")
    deep = request.query.get("recursive") == ["true"]
    def inside(p): return top in Path(p).parents if deep else Path(p).parent == top
    below = [folder_entry(p) for p in folders(files) if inside(p)]
    return Reply(body=below + [entry(p, b) for p, b in files.items() if inside(p)])


@route("POST", API + r"/paths-info/(?P<revision>[^/]+)")
def paths_info(hub, request, kind, repo, revision):
    "The entries of some paths; what does not exist is left out."
    repo = find(hub, repo, kind)
    files = repo.commits[repo.commit_of(revision)]
    paths = parse_qs(request.body.decode())["paths"]
    return Reply(body=[entry(p, files[p]) for p in paths if p in files] + [folder_entry(p) for p in paths if p in folders(files)])


@route("GET", "/api/agent-harnesses")
def agent_harnesses(hub, request):
    "A list that the client reads once a day to tell which tool runs it: empty here."
    return Reply(body={"standardEnvVars": [], "harnesses": {}})


@route("GET", "/api/whoami-v2")
def whoami(hub, request):
    "Whose token it is."
    must_write(hub, request)
    return Reply(body={"type": "user", "id": "0", "name": hub.user, "fullname": hub.user.title(), "orgs": [],
                       "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": "write"}}})


@route("POST", "/api/repos/create")
def create_repo(hub, request):
    "A new repository with its `.gitattributes`; 409 if there is one, 403 in somebody else's namespace."
    must_write(hub, request)
    asked = request.json()
    repo_type, owner = asked.get("type") or "model", asked.get("organization") or hub.user
    repo_id = f"{owner}/{asked['name']}"
    if owner != hub.user:
        raise Refused(403, message=f"You don't have the rights to create a {repo_type} under the namespace {owner}")
    repo = Repo(repo_id, repo_type)
    url = f"{hub.url}/{repo.prefix}{repo_id}"
    if (repo_type, repo_id) in hub.repos: return Reply(409, {"error": "You already created this repo", "url": url})
    hub.repos[repo_type, repo_id] = repo
    repo.add_commit({".gitattributes": hub._blob(".gitattributes", GITATTRIBUTES)})
    return Reply(body={"url": url, "name": repo_id, "id": "0"})


@route("POST", "/api/validate-yaml")
def validate_yaml(hub, request):
    "The check of a model card before it is uploaded: its front matter must end."
    text = request.json()["content"]
    if text.startswith("---\n") and "\n---" not in text[4:]:
        return Reply(400, {"errors": [{"message": "The front matter has no end"}], "warnings": []})
    return Reply(body={"errors": [], "warnings": []})


@route("POST", API + r"/branch/(?P<revision>[^/]+)")
def create_branch(hub, request, kind, repo, revision):
    "A new branch from `startingPoint` or `main`."
    must_write(hub, request)
    repo, name = find(hub, repo, kind), unquote(revision)
    if name in repo.refs: raise Refused(409, message="Reference already exists")
    repo.refs[name] = repo.commit_of((request.json() if request.body else {}).get("startingPoint") or "main")
    return Reply(body={"success": True})


@route("POST", API + r"/preupload/(?P<revision>[^/]+)")
def preupload(hub, request, kind, repo, revision):
    "For each file to upload: LFS or regular, and what is there already."
    must_write(hub, request)
    repo = find(hub, repo, kind)
    files = repo.commits[repo.commit_of(revision)]
    def plan(f):
        mode, old = "lfs" if is_lfs(f["path"], f["size"]) else "regular", files.get(f["path"])
        return {"path": f["path"], "uploadMode": mode, "shouldIgnore": False, **({"oid": old.etag} if old else {})}
    return Reply(body={"commitOid": repo.commit_of(revision), "files": [plan(f) for f in request.json()["files"]]})


@route("POST", FILES + r"\.git/info/lfs/objects/batch")
def lfs_batch(hub, request, kind, repo):
    "Where to put LFS files (and where to have that verified); nothing for those that are stored."
    must_write(hub, request)
    repo = find(hub, repo, kind)
    def plan(o):
        upload = {"href": f"{hub.storage_url}/{o['oid']}", "header": {}}
        verify = {"href": f"{hub.url}/{repo.prefix}{repo.repo_id}.git/info/lfs/objects/verify", "header": {}}
        actions = {} if o["oid"] in hub.storage else {"actions": {"upload": upload, "verify": verify}}
        return {**o, "authenticated": True, **actions}
    return Reply(body={"transfer": "basic", "objects": [plan(o) for o in request.json()["objects"]]})


@route("PUT", r"/(?P<sha256>[0-9a-f]{64})", server="storage")
def lfs_put(hub, request, sha256):
    "Store an LFS file if it is what it says it is."
    blob = Blob(request.body, lfs=True)
    if blob.sha256 != sha256: raise Refused(400, message="The checksum does not match")
    hub.storage[sha256] = blob
    return Reply(headers={"ETag": f'"{sha256}"'})


@route("POST", FILES + r"\.git/info/lfs/objects/verify")
def lfs_verify(hub, request, kind, repo):
    "Did an LFS file arrive?"
    must_write(hub, request)
    asked = request.json()
    blob = hub.storage.get(asked["oid"])
    if blob is None or len(blob.data) != asked["size"]: raise Refused(404, message="Not uploaded")
    return Reply(body={"success": True})


@route("POST", API + r"/commit/(?P<revision>[^/]+)")
def commit(hub, request, kind, repo, revision):
    "NDJSON: a header, then files (base64), LFS files (by checksum) and deletions; with `?create_pr` on a new `refs/pr/n`."
    must_write(hub, request)
    repo, branch = find(hub, repo, kind), unquote(revision)
    parent = repo.commit_of(revision)
    files = dict(repo.commits[parent])
    for line in map(json.loads, request.body.splitlines()):
        what, value = line["key"], line["value"]
        path = value.get("path")
        if what == "header" and value.get("parentCommit", parent) != parent:
            raise Refused(412, message="A commit has happened since. Please refresh and try again.")
        elif what == "file": files[path] = Blob(base64.b64decode(value["content"]), lfs=False)
        elif what == "lfsFile":
            if value["oid"] not in hub.storage: raise Refused(400, message=f"The LFS file {path} was not uploaded")
            files[path] = hub.storage[value["oid"]]
        elif what == "deletedFile" and files.pop(path, None) is None:
            raise Refused(404, "EntryNotFound", "A file with this name doesn't exist")
        elif what == "deletedFolder": files = {p: b for p, b in files.items() if not p.startswith(path.rstrip("/") + "/")}
    if "create_pr" in request.query: branch = f"refs/pr/{sum(r.startswith('refs/pr/') for r in repo.refs) + 1}"
    oid = repo.add_commit(files, branch)
    page = f"{hub.url}/{repo.prefix}{repo.repo_id}"
    pr = {"pullRequestUrl": f"{page}/discussions/{branch.split('/')[-1]}"} if branch.startswith("refs/pr/") else {}
    return Reply(body={"success": True, "commitOid": oid, "commitUrl": f"{page}/commit/{oid}", **pr})


# ---------------------------------------------------------------------------------------------- a client of its own

@dataclass
class Answer:
    "What a client function returned, and all that its process printed."
    value: object
    stdout: str
    stderr: str


def run_client(function, *args, hub, home, timeout=300, **env):
    """Call a test module's function in a new process that knows only this Hub (`huggingface_hub` reads HF_ENDPOINT when imported).

    Arguments and result travel as JSON. The process may connect to 127.0.0.1 only; an attempt to go further fails the test.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder)/"result.json"
        command = [sys.executable, __file__, Path(inspect.getfile(function)).stem, function.__name__, json.dumps(args), str(result)]
        done = subprocess.run(command, env=hub.env(home, **env), cwd=home, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{function.__name__} failed in its process:\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
        value, outside = json.loads(result.read_text())
    assert not outside, f"{function.__name__} tried to reach {outside}"
    return Answer(value, done.stdout, done.stderr)


def _client(module, function, args, result):
    "The other side of `run_client`."
    outside = []
    def stay_here(event, args):
        if event not in ("socket.connect", "socket.getaddrinfo"): return
        host = args[0] if event == "socket.getaddrinfo" else args[1][0] if isinstance(args[1], tuple) else None
        if host in (None, "", "127.0.0.1", "::1", "localhost", b"127.0.0.1", b"localhost"): return
        outside.append(str(host))
        raise ConnectionRefusedError("A test may reach 127.0.0.1 only.")
    sys.addaudithook(stay_here)
    value = getattr(importlib.import_module(module), function)(*json.loads(args))
    Path(result).write_text(json.dumps([value, outside]))


if __name__ == "__main__": _client(*sys.argv[1:])

#!/usr/bin/env bash
# A newcomer's day: an empty home, empty caches, a clone of the last commit, both commands of the README; then the
# wheel and the sdist, each in an environment of its own, far from the checkout.
set -euo pipefail
repo=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
room=$(mktemp -d); trap 'rm -rf "$room"' EXIT
mkdir "$room/home"
export HOME=$room/home XDG_CACHE_HOME=$room/cache UV_CACHE_DIR=$room/cache/uv PIP_CACHE_DIR=$room/cache/pip
unset VIDCLS_HOME VIDCLS_RECIPE VIDCLS_TEST_HOME PYTHONPATH VIRTUAL_ENV

say() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }
say "clone"; git clone --quiet "$repo" "$room/clone"; cd "$room/clone"
say "make tutorial"; make tutorial
say "make test"; make test
say "make test-slow"; make test-slow
[ -z "$(git status --porcelain)" ] || { echo "The commands changed the checkout:"; git status --short; exit 1; }

say "wheel and sdist"; .venv/bin/python -m build --outdir "$room/dist" . >"$room/build.log" 2>&1 || { tail -20 "$room/build.log"; exit 1; }
model=$PWD/runs/tutorial/model
clip=$(find "$PWD/runs/data/StickUCF/test" -name '*.avi' | sort | head -1)
cd "$room"
for dist in "$room"/dist/*; do
  say "install ${dist##*/}"
  python3 -m venv "$room/env"
  if command -v uv >/dev/null; then uv pip install --quiet --python "$room/env/bin/python" "$dist"; else "$room/env/bin/pip" install --quiet "$dist"; fi
  "$room/env/bin/vidcls" doctor
  "$room/env/bin/vidcls" predict "$model" "$clip" --top-k 3
  "$room/env/bin/python" -c "import vidcls, pathlib; assert pathlib.Path('$room/env') in pathlib.Path(vidcls.__file__).parents, vidcls.__file__"
  rm -rf "$room/env"
done
say "done"

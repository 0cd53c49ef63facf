#!/usr/bin/env bash
# Every Python that settings.ini admits, with the oldest and with the newest versions that it admits: all tests in each.
# Then a hosted notebook machine: what is there stays as it is when the set-up cell installs vidcls, and the chapters run.
# PYTHONS="3.11" RESOLUTIONS="lowest-direct" HOSTED="" runs a part; ARGS are given to pytest. A Python that is missing counts as a failure.
set -uo pipefail
repo=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
command -v uv >/dev/null || { echo "make matrix needs uv: pip install uv."; exit 1; }
work=$repo/runs/matrix; mkdir -p "$work"; failed=0
unset VIRTUAL_ENV PYTHONPATH

run() { # name, function: in a clone of the last commit
  local name=$1 tree=$work/$1 log=$work/$1.log start=$SECONDS verdict=passed; shift
  rm -rf "$tree"; git clone --quiet "$repo" "$tree"
  (cd "$tree" && "$@") >"$log" 2>&1 || { verdict=FAILED; failed=1; }
  printf '%-20s %-7s %5s s  %s\n' "$name" "$verdict" "$((SECONDS - start))" "$(tail -1 "$log")"
  rm -rf "$tree"
}

all_tests() { # Python, resolution
  uv venv --quiet --python "$1" .venv && uv pip install --quiet --resolution "$2" --python .venv/bin/python -e '.[dev]' &&
  .venv/bin/python -m vidcls doctor && touch .venv/.installed &&
  .venv/bin/python -m pytest -n "${WORKERS:-2}" --dist worksteal -q ${ARGS:-}
}

hosted() { # Python. With pip, as in the set-up cell; only what a kernel has not imported by then may change
  uv venv --quiet --python "$1" hosted && uv pip install --quiet --python hosted/bin/python -r tests/tools/hosted.txt || return 1
  hosted/bin/pip freeze --all | sort >before.txt
  hosted/bin/pip install --quiet . 2>pip.txt || { cat pip.txt; return 1; }
  hosted/bin/pip freeze --all | sort >after.txt
  comm -23 before.txt after.txt | grep -vE '^(transformers|tokenizers|safetensors|huggingface_hub|fastcore)=' && { echo "The set-up cell replaced these."; return 1; }
  uv venv --quiet --python "$1" .venv && uv pip install --quiet --python .venv/bin/python -e '.[dev]' &&
  VIDCLS_HOSTED=$PWD/hosted/bin/python .venv/bin/python -m pytest -n "${WORKERS:-2}" -q tests/test_colab.py ${ARGS:-}
}

for python in ${PYTHONS:-3.10 3.11 3.12 3.13}; do for resolution in ${RESOLUTIONS-lowest-direct highest}; do
  run "$python-$resolution" all_tests "$python" "$resolution"
done; done
for python in ${HOSTED-3.12}; do run "$python-hosted" hosted "$python"; done
exit $failed

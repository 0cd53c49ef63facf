#!/usr/bin/env bash
# Every Python that settings.ini admits, with the oldest and with the newest versions that it admits: all tests in each.
# PYTHONS="3.11" RESOLUTIONS="lowest-direct" runs a part; ARGS are given to pytest. A Python that is missing counts as a failure.
set -uo pipefail
repo=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
command -v uv >/dev/null || { echo "make matrix needs uv: pip install uv."; exit 1; }
work=$repo/runs/matrix; mkdir -p "$work"; failed=0
unset VIRTUAL_ENV PYTHONPATH
for python in ${PYTHONS:-3.10 3.11 3.12 3.13}; do for resolution in ${RESOLUTIONS:-lowest-direct highest}; do
  name=$python-$resolution; tree=$work/$name; log=$work/$name.log; start=$SECONDS
  rm -rf "$tree"; git clone --quiet "$repo" "$tree"
  if (cd "$tree" && uv venv --quiet --python "$python" .venv && uv pip install --quiet --resolution "$resolution" --python .venv/bin/python -e '.[dev]' &&
      .venv/bin/python -m vidcls doctor && touch .venv/.installed &&
      .venv/bin/python -m pytest -n "${WORKERS:-2}" --dist worksteal -q ${ARGS:-}) >"$log" 2>&1
  then verdict=passed; else verdict=FAILED; failed=1; fi
  printf '%-20s %-7s %5s s  %s\n' "$name" "$verdict" "$((SECONDS - start))" "$(tail -1 "$log")"
  rm -rf "$tree"
done; done
exit $failed

"""Building Pulumi's engine on a machine that never had it: what nothing has downloaded yet has no folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.shared_data import REPOSITORY

GO = """#!/usr/bin/env bash
# As go behaves with an empty module cache: a module's folder is empty, without an error, until the module is downloaded.
echo "$*" >> "$CACHE/calls"
case "$*" in
  "mod download "*) mkdir -p "$CACHE/sdk/python/cmd" "$CACHE/sdk/python/dist"
    touch "$CACHE/sdk/python/cmd/pulumi-language-python-exec" "$CACHE/sdk/python/dist/pulumi-resource-pulumi-python" ;;
  *"{{.Version}}"*) echo v3.274.1 ;;
  *"{{.Dir}}"*) if [ -d "$CACHE/sdk" ]; then echo "$CACHE/sdk"; else echo; fi ;;
  build*) while [ "$1" != "-o" ]; do shift; done; touch "$2" ;;
esac
"""


def test_it_is_built_from_an_empty_cache(tmp_path: Path) -> None:
    engine = tmp_path / "tests" / "infra" / "engine"
    shutil.copytree(REPOSITORY / "tests" / "infra" / "engine", engine, ignore=shutil.ignore_patterns("__pycache__"))
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "go").write_text(GO)
    (tools / "go").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "CACHE": str(tmp_path)}
    result = subprocess.run([engine / "build.sh"], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    built = {path.name for path in (tmp_path / ".pulumi-engine" / "bin").iterdir()}
    assert built == {"pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python"}

#!/usr/bin/env python3
"""Tries to include every layer's header from every other layer, with exactly the include directories CMake gives that layer."""
import argparse
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile

# Layer: (its folder of sources, a header of its own, the layers it may include besides itself)
LAYERS = {
    "base": ("operator/base", "base/result.h", []),
    "json": ("operator/json", "json/splitter.h", ["base"]),
    "http": ("operator/http", "http/transport.h", ["base", "json"]),
    "kube_objects": ("operator/kube/objects", "kube/objects/request.h", ["base", "json"]),
    "kube_client": ("operator/kube/client", "kube/client/client.h", ["base", "json", "http", "kube_objects"]),
    "runtime": ("operator/runtime", "runtime/reflector.h", ["base", "json", "http", "kube_objects", "kube_client"]),
    "api": ("operator/api", "api/framework.h", ["base", "json", "kube_objects"]),
    "reconcilers": ("reconcilers", "common/decision.h", ["base", "json", "kube_objects", "api"]),
    "manager": ("operator/manager", "manager/gather.h",
                ["base", "json", "http", "kube_objects", "kube_client", "runtime", "api", "reconcilers"]),
    "mover_core": ("operator/mover/core", "mover/task.h", ["base", "json"]),
}


def include_flags(commands, source, folder):
    """The project's include directories of the first file compiled in `folder`."""
    for entry in commands:
        path = pathlib.Path(entry["file"])
        if path.is_relative_to(source / folder):
            words = shlex.split(entry["command"])
            return [w for i, w in enumerate(words) if w.startswith("-I") or words[i - 1] == "-isystem" or w == "-isystem"]
    raise SystemExit(f"layers: nothing in {folder} is compiled")


def compiles(compiler, flags, header):
    with tempfile.NamedTemporaryFile("w", suffix=".cpp") as file:
        file.write(f'#include "{header}"\n')
        file.flush()
        return subprocess.run([compiler, "-std=c++20", "-fsyntax-only", *flags, file.name], capture_output=True, text=True)


def main():
    parser = argparse.ArgumentParser()
    for name in ("compiler", "source", "commands"):
        parser.add_argument("--" + name, required=True)
    args = parser.parse_args()
    source = pathlib.Path(args.source)
    commands = json.loads(pathlib.Path(args.commands).read_text())
    wrong = []
    for layer, (folder, _, allowed) in LAYERS.items():
        flags = include_flags(commands, source, folder)
        for other, (_, header, _) in LAYERS.items():
            result = compiles(args.compiler, flags, header)
            if other == layer or other in allowed:
                if result.returncode != 0:
                    wrong.append(f"{layer} must be able to include {header}:\n{result.stderr[:400]}")
            elif result.returncode == 0:
                wrong.append(f"{layer} could include {header}, which is a layer above it or beside it")
            elif "No such file" not in result.stderr and "file not found" not in result.stderr:
                wrong.append(f"{layer} including {header} failed for another reason:\n{result.stderr[:400]}")
    print("\n".join(wrong) or f"{len(LAYERS)} layers, every pair as it should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

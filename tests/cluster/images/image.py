#!/usr/bin/env python3
"""Makes one OCI image archive from folders:

    image.py --name localhost/rollback-operator:dev --layer FOLDER --config '{"Entrypoint": ["/rollback-operator"]}' --out X.tar

--layer may be given several times, lowest first: a folder (packed as owned by root) or a ready layer tar.
"""
import argparse
import json
import pathlib
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import oci                                             # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="whole image name with its tag")
    parser.add_argument("--layer", required=True, action="append", type=pathlib.Path, metavar="FOLDER|TAR")
    parser.add_argument("--keep-owners", action="store_true", help="keep numeric owners of the folders' files")
    parser.add_argument("--config", default="{}", help="OCI config object as JSON")
    parser.add_argument("--annotation", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    args = parser.parse_args()
    if ":" not in args.name.rsplit("/", 1)[-1]:
        parser.error(f"--name {args.name} has no tag")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out.parent) as scratch:
        layers = [oci.layer_from(layer, pathlib.Path(scratch) / f"{i}.tar", args.keep_owners) if layer.is_dir() else layer
                  for i, layer in enumerate(args.layer)]
        oci.write_image(args.out, args.name, layers, json.loads(args.config),
                        dict(a.split("=", 1) for a in args.annotation))


if __name__ == "__main__":
    main()

"""Writes OCI image archives (image-spec 1.0 layout in a tar) without a registry, a base image or a container engine.

The same inputs give the same bytes: entries sorted, times zero, owners numeric. Layers are stored uncompressed: they
are read once, on this machine.
"""
import hashlib
import io
import json
import os
import pathlib
import subprocess
import tarfile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
INDEX = "application/vnd.oci.image.index.v1+json"
EPOCH = "1970-01-01T00:00:00Z"


def layer_from(folder: pathlib.Path, out: pathlib.Path, keep_owners: bool = False) -> pathlib.Path:
    """Packs a folder as a layer. Everything belongs to root unless keep_owners, which a Debian root needs."""
    owners = ["--numeric-owner"] if keep_owners else ["--owner=0", "--group=0", "--numeric-owner"]
    scratch = out.with_name(out.name + ".part")
    subprocess.run(["tar", "--format=gnu", "--sort=name", "--mtime=@0", *owners, "-C", str(folder), "-cf", str(scratch), "."],
                   check=True)
    os.replace(scratch, out)
    return out


def sha256_of(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as source:
        while block := source.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_image(out: pathlib.Path, name: str, layers: list, config: dict, annotations=None, architecture="amd64") -> None:
    """`layers` are tar files, lowest first. `config` is the OCI "config" object (Entrypoint, Env, User, ...)."""
    digests = [(layer, sha256_of(layer)) for layer in layers]
    config_blob = _json({"created": EPOCH, "architecture": architecture, "os": "linux", "config": config,
                         "rootfs": {"type": "layers", "diff_ids": [f"sha256:{d}" for _, d in digests]}})
    manifest_blob = _json({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": _descriptor(CONFIG, config_blob),
        "layers": [{"mediaType": LAYER, "digest": f"sha256:{d}", "size": os.path.getsize(p)} for p, d in digests],
        **({"annotations": annotations} if annotations else {})})
    entry = _descriptor(MANIFEST, manifest_blob)
    entry["platform"] = {"architecture": architecture, "os": "linux"}
    # containerd takes the whole name from the first annotation, other tools the tag from the second.
    entry["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rsplit(":", 1)[1]}
    scratch = out.with_name(out.name + ".part")
    with tarfile.open(scratch, "w", format=tarfile.GNU_FORMAT) as archive:
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(archive, "index.json", _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}))
        for blob in (manifest_blob, config_blob):
            _add(archive, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        for digest, path in {d: p for p, d in digests}.items():       # a layer used twice is stored once
            info = tarfile.TarInfo(f"blobs/sha256/{digest}")
            info.size, info.mode = os.path.getsize(path), 0o644
            with open(path, "rb") as source:
                archive.addfile(info, source)
    os.replace(scratch, out)


def _json(value: dict) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _descriptor(kind: str, blob: bytes) -> dict:
    return {"mediaType": kind, "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)}


def _add(archive: tarfile.TarFile, name: str, blob: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(blob), 0o644
    archive.addfile(info, io.BytesIO(blob))

"""A cluster's cgroup `frollback-<N>`, in every hierarchy of version 1 or in the one of version 2.

Empty cgroups outlive their processes, so they are removed by the keeper when the cluster ends, by `down`, and by the
next cluster that gets the same number.
"""
import contextlib
import os
import pathlib

from .deadline import poll
from .state import ClusterError


def name(number: int) -> str:
    return f"frollback-{number}"


def hierarchies() -> list:
    """[(mount point, is version 2)]"""
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ")
        kind = right.split()[0]
        if kind in ("cgroup", "cgroup2"):
            found.append((pathlib.Path(left.split()[4]), kind == "cgroup2"))
    return found


def create(number: int) -> None:
    found = hierarchies()
    if not found:
        raise ClusterError("no cgroup file system is mounted; the node tier needs one (mount cgroup2 on /sys/fs/cgroup)")
    only_v2 = all(v2 for _, v2 in found)
    for mount, v2 in found:
        folder = mount / name(number)
        if v2 and only_v2:
            _delegate(mount)
        folder.mkdir(exist_ok=True)
        if v2 and only_v2:
            _delegate(folder)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            source = mount / setting
            if not v2 and source.exists():       # a version 1 cpuset starts empty, and no task can join an empty one
                (folder / setting).write_text(source.read_text())


def _delegate(folder: pathlib.Path) -> None:
    """Hands every controller to the children of a version 2 cgroup; the kubelet needs these five at least."""
    has = (folder / "cgroup.controllers").read_text().split()
    enabled = (folder / "cgroup.subtree_control").read_text().split()
    for controller in has:
        if controller in enabled:
            continue
        try:
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError as error:
            if controller in ("cpu", "cpuset", "memory", "pids", "io"):
                raise ClusterError(
                    f"{folder}: cannot hand the {controller} controller down ({error.strerror}); inside a container, move its "
                    "processes to a child cgroup first, or run it with --privileged --cgroupns=host") from None


def remove(number: int) -> None:
    for mount, _ in hierarchies():
        _remove_tree(mount / name(number))


def leftovers(number: int) -> list:
    return [str(mount / name(number)) for mount, _ in hierarchies() if (mount / name(number)).exists()]


def _remove_tree(folder: pathlib.Path) -> None:
    if not folder.is_dir():
        return
    for path, _, _ in os.walk(folder, topdown=False):
        def gone(path=path) -> bool:
            with contextlib.suppress(FileNotFoundError):
                try:
                    os.rmdir(path)
                except OSError:                  # busy while the last task is still on its way out
                    return False
            return True
        poll(gone, 5)

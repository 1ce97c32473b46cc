"""The Linux calls Python 3.11 has no name for, and the mounts of a cluster's own mount namespace."""
import ctypes
import os
import pathlib
import signal

from .network import run

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
CLONE_NEWPID = 0x20000000
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    if _libc.unshare(ctypes.c_int(flags)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def fork_in_new_pid_namespace() -> int:
    """Like os.fork; the child is pid 1 of a new namespace. The caller's later children stay in the caller's namespace."""
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    unshare(CLONE_NEWPID)
    child = os.fork()
    if child and _libc.setns(home, CLONE_NEWPID) != 0:
        number = ctypes.get_errno()
        os.kill(child, signal.SIGKILL)
        raise OSError(number, f"setns: {os.strerror(number)}")
    os.close(home)
    return child


def die_with_parent() -> None:
    """SIGKILL when the parent ends, however it ends. Also reaches an init process: the signal comes from outside."""
    if _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_PDEATHSIG): {os.strerror(number)}")


def enter_mounts(state: pathlib.Path) -> None:
    """A mount namespace nobody outside sees, shared inside, because the kubelet's mounts must reach containers started later.

    Own /proc; own /run (pods' network namespaces, runc's and the shims' state live there); own /var/log; and a /var/lib whose
    changes stay inside, because the kubelet and CNI write to fixed places there that two clusters would fight over.
    """
    unshare(CLONE_NEWNS)
    run("mount", "--make-rprivate", "/")
    run("mount", "--make-rshared", "/")
    run("mount", "-t", "proc", "proc", "/proc")
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for folder in ("lock", "var-lib/upper", "var-lib/work", "state"):
        pathlib.Path("/run", folder).mkdir(parents=True)
    run("mount", "--bind", str(state), "/run/state")
    run("mount", "-t", "overlay", "var-lib", "-o", "lowerdir=/var/lib,upperdir=/run/var-lib/upper,workdir=/run/var-lib/work",
        "/var/lib")
    if state.is_relative_to("/var/lib"):
        run("mount", "--bind", "/run/state", str(state))
    var_log = state / "var-log"
    var_log.mkdir(exist_ok=True)
    run("mount", "--bind", str(var_log), "/var/log")

#!/usr/bin/env bash
# debian-root.sh OUT.tar PACKAGE...: a small Debian 12 root as one reproducible layer, made by mmdebstrap as root.
# Left out: documentation, translations, and PostgreSQL's just-in-time compiler with LLVM (it takes 150 MB, and the server
# runs without it when its module is absent). Users 65532 (nonroot) is added; folders PostgreSQL writes are open to all.
set -euo pipefail
out=${1:?out}; shift
packages=$(IFS=,; echo "$*")
log=$out.log
export SOURCE_DATE_EPOCH=0
excludes=()
for pattern in '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/info/*' '/usr/share/locale/*' '/usr/share/lintian/*' \
  '/usr/lib/*/libLLVM*' '/usr/lib/postgresql/*/lib/llvmjit*' '/usr/lib/postgresql/*/lib/bitcode/*'; do
  excludes+=("--dpkgopt=path-exclude=$pattern")
done
mmdebstrap --format=tar --variant=minbase --include="$packages" "${excludes[@]}" --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt=force-confold \
  --essential-hook='mkdir -p "$1/etc/postgresql-common" && echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"' \
  --customize-hook='echo "nonroot:x:65532:65532:nonroot:/tmp:/usr/sbin/nologin" >>"$1/etc/passwd"' \
  --customize-hook='echo "nonroot:x:65532:" >>"$1/etc/group"' \
  --customize-hook='for d in run/postgresql var/lib/postgresql var/lib/postgresql/data; do install -d -m 1777 "$1/$d"; done' \
  --customize-hook='rm -rf "$1"/var/log/* "$1"/var/cache/* "$1"/var/lib/apt/* "$1"/etc/machine-id' \
  bookworm "$out.part" >"$log" 2>&1 || {
  tail -20 "$log" >&2
  echo "debian-root.sh: mmdebstrap failed for $packages; the whole output is in $log" >&2
  exit 1
}
mv "$out.part" "$out"
rm -f "$log"

# To be sourced: find_go sets $go to a Go of at least 1.24. Where the installed one is older, golang.org/toolchain is fetched through the
# module proxy into $cache, which the caller has set.
fallback_go=1.24.9

find_go() {
  go=$(command -v go || true)
  [ -n "$go" ] || { echo "Go is not installed; run make deps" >&2; exit 1; }
  local have
  have=$("$go" env GOVERSION 2>/dev/null || "$go" version | awk '{print $3}')
  have=${have#go}
  if [ "$(printf '1.24\n%s\n' "$have" | sort -V | head -1)" = 1.24 ]; then return; fi
  local tools=$cache/go-$fallback_go
  if [ ! -x "$tools/bin/go" ]; then
    echo "installed Go is $have; fetching Go $fallback_go as a module" >&2
    local scratch; scratch=$(mktemp -d)
    (cd "$scratch" && printf 'module fetch\n\ngo 1.17\n' > go.mod &&
      GOFLAGS=-mod=mod GONOSUMDB=golang.org/toolchain GONOSUMCHECK=1 "$go" mod download -json "golang.org/toolchain@v0.0.1-go$fallback_go.linux-amd64" > out.json)
    local dir; dir=$(sed -n 's/.*"Dir": "\(.*\)",*/\1/p' "$scratch/out.json")
    [ -d "$dir" ] || { cat "$scratch/out.json" >&2; echo "could not fetch Go $fallback_go" >&2; exit 1; }
    mkdir -p "$tools.part" && cp -r "$dir/." "$tools.part/"
    chmod -R u+w "$tools.part"
    chmod +x "$tools.part"/bin/* "$tools.part"/pkg/tool/*/*      # the module cache drops the executable bits
    rm -rf "$tools" && mv "$tools.part" "$tools"
    rm -rf "$scratch"
  fi
  go=$tools/bin/go
  export GOROOT=$tools
}

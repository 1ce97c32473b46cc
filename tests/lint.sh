#!/usr/bin/env bash
# What can be said without compiling: formatting, layering, where libraries may be included, words that do not belong in the project.
# With a build directory (compile_commands.json) and TIDY=1 also clang-tidy.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bad=0
complain() { # TITLE LINES
  [ -z "$2" ] && return
  printf '%s\n%s\n\n' "$1" "$2"
  bad=1
}
sources=$(git ls-files '*.cpp' '*.h')

complain 'Not formatted (make format):' "$(echo "$sources" | xargs clang-format-14 --dry-run -Werror 2>&1 | grep -oE '^[^:]+\.(cpp|h)' | sort -u | head -20)"
complain 'Includes by relative path:' "$(echo "$sources" | xargs grep -nE '#include "\.\./' | head)"
complain 'cpprestsdk outside the Transport:' "$(git grep -lE '#include *[<"](cpprest|pplx)/' -- operator reconcilers | grep -v '^operator/http/src/cpprest_transport.cpp$')"
complain 'nlohmann/json in a public header:' "$(git grep -lE '#include *<nlohmann/json.hpp>' -- '*/include/*.h')"
complain 'Reconcilers reaching for I/O, clock or randomness:' \
  "$(git grep -nE 'system_clock::now|steady_clock::now|std::random_device|[io]fstream|::system\(|std::thread|sleep_for' -- reconcilers)"
complain 'A shell started by the mover or in a Job:' "$(git grep -nE '"/bin/(ba|da)?sh"|popen\(|std::system\(' -- operator reconcilers)"
complain 'Unfinished marks:' "$(git grep -nIwE 'TODO|FIXME|XXX|HACK' -- . ':!tests/lint.sh')"
complain 'Files over 400 lines without a banner that says why:' \
  "$(for f in $(git ls-files 'operator/*.cpp' 'operator/*.h' 'reconcilers/*.cpp' 'reconcilers/*.h'); do
       n=$(wc -l <"$f"); [ "$n" -gt 400 ] && ! head -12 "$f" | grep -qiE '\blong\b|length' && echo "$n $f"; done)"
complain 'Scripts that do not parse:' "$(for f in $(git grep -lE '^#!.*(bash|sh)$' -- .); do bash -n "$f" 2>&1; done)"
if [ "${TIDY:-}" = 1 ] && [ -f build/release/compile_commands.json ]; then
  complain 'clang-tidy:' "$(git ls-files 'operator/*.cpp' 'reconcilers/*.cpp' | xargs -P 2 -n 4 clang-tidy-14 -quiet -p build/release 2>/dev/null | grep -E 'warning|error' | head -30)"
fi
[ $bad = 0 ] && echo "lint: nothing to mend"
exit $bad

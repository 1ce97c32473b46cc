// YAML as kubectl reads it, to JSON text. yaml-cpp parses; what a scalar means is resolved here, after the tables of
// the Go library kubectl uses (sigs.k8s.io/yaml, goyaml.v2/resolve.go), because yaml-cpp's own conversions ignore
// quotes and tags.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace rollback::kube {

// One document, YAML or JSON, UTF-8 or UTF-16 with a byte order mark. BadInput, with line and column where known, for:
// a syntax error, several documents, duplicate keys, merge keys (<<), tags other than the core ones, .inf and .nan,
// integers beyond 64 bits, nesting deeper than 128, and aliases that blow the document up (100,000 nodes or 16 MiB).
// Messages hold no scalar of the document but mapping keys. An empty document is "null". Pure, thread-safe.
Result<std::string> yamlToJson(std::string_view text);

}  // namespace rollback::kube

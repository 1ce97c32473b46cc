// What a plain YAML scalar means: the tables of the Go library kubectl reads YAML with (goyaml.v2/resolve.go), as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"

namespace rollback::kube {

// null, booleans (y, yes, on, true, …), integers (decimal, 0 and 0o octal, 0x, 0b, '_' between digits), floats;
// anything else, dates included, is the string itself. A float without fraction becomes an integer, as Go encodes it.
// BadInput for .inf, .nan and integers beyond 64 bits, which JSON or its readers do not have.
Result<nlohmann::json> resolvePlainScalar(const std::string& text);

}  // namespace rollback::kube

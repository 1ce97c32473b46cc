// Quantities of bytes, as Kubernetes writes them: "20Gi", "1.5G", "512M", "1e9", "1073741824".
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace rollback::api {

// Bytes, rounded up (apimachinery resource.Quantity). BadInput if it is none, negative, or beyond 2^62.
Result<std::int64_t> parseQuantity(std::string_view text);

}  // namespace rollback::api

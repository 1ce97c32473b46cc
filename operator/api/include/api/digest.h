// The one hash of ours: specs, plans, names of ledger entries, results of Jobs.
#pragma once

#include <string>

namespace rollback::api {

// SHA-256 as 64 lower-case hexadecimal digits.
std::string sha256Hex(const std::string& text);

}  // namespace rollback::api

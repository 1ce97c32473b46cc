#pragma once

#include <string>

namespace rollback::reconcilers {

// SHA-256 as 64 lower-case hexadecimal digits.
std::string sha256Hex(const std::string& text);

}  // namespace rollback::reconcilers

// Identifiers and literals as SQL text. The only way a name or value enters a statement.
#pragma once

#include <string>

namespace rollback::mover {

// "name", with quotes doubled. `name` must not hold NUL (task and manifest refuse it).
std::string identifier(const std::string& name);
// 'value', or E'value' if it holds a backslash: the same under either standard_conforming_strings.
std::string literal(const std::string& value);

}  // namespace rollback::mover

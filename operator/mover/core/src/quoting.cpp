#include "mover/quoting.h"

namespace rollback::mover {

std::string identifier(const std::string& name) {
  std::string out = "\"";
  for (char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string literal(const std::string& value) {
  std::string out = value.find('\\') == std::string::npos ? "'" : " E'";
  for (char c : value) {
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  return out + '\'';
}

}  // namespace rollback::mover

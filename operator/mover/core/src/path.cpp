#include "mover/files.h"

namespace rollback::mover {
namespace {

// As RFC 3629 says: shortest form, no surrogates, nothing above U+10FFFF.
bool isUtf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto first = static_cast<unsigned char>(text[at++]);
    if (first < 0x80) continue;
    const int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    if (first < 0xC2 || first > 0xF4 || at + more > text.size()) return false;
    std::uint32_t code = first & (0x3F >> more);
    for (int i = 0; i < more; ++i) {
      const auto next = static_cast<unsigned char>(text[at++]);
      if ((next & 0xC0) != 0x80) return false;
      code = code << 6 | (next & 0x3F);
    }
    if ((more == 2 && code < 0x800) || (more == 3 && code < 0x10000) || code > 0x10FFFF ||
        (code >= 0xD800 && code <= 0xDFFF))
      return false;
  }
  return true;
}

}  // namespace

std::string pathProblem(std::string_view path) {
  if (path.empty()) return "it is empty";
  if (path.size() > 1024) return "it is longer than 1024 bytes";
  if (path.front() == '/') return "it is absolute";
  for (char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "it holds a control character";
    if (c == '\\') return "it holds a backslash";
  }
  if (!isUtf8(path)) return "it is not UTF-8";
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (part.empty() || part == ".") return "it has an empty component";
    if (part == "..") return "it leaves its folder";
    at = end + 1;
  }
  return {};
}

}  // namespace rollback::mover

#include "mover/files.h"

namespace rollback::mover {

std::string pathProblem(std::string_view path) {
  if (path.empty()) return "it is empty";
  if (path.size() > 1024) return "it is longer than 1024 bytes";
  if (path.front() == '/') return "it is absolute";
  for (char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "it holds a control character";
    if (c == '\\') return "it holds a backslash";
  }
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

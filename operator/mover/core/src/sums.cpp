#include "mover/sums.h"

#include "mover/files.h"
#include "mover/outcome.h"

namespace rollback::mover {
namespace {

Error damaged(std::size_t line, const std::string& what) {
  return problem(ErrorCode::BadInput, "BackupDamaged", "line " + std::to_string(line) + " of SHA256SUMS " + what);
}

bool isHex(const std::string& text) { return text.find_first_not_of("0123456789abcdef") == std::string::npos; }

}  // namespace

std::string encodeSums(const Sums& sums) {
  std::string out;
  for (const auto& [path, hex] : sums) out += hex + "  " + path + "\n";
  return out;
}

Result<Sums> decodeSums(const std::string& text) {
  Sums sums;
  std::size_t line = 0;
  for (std::size_t at = 0; at < text.size();) {
    ++line;
    const std::size_t end = text.find('\n', at);
    if (end == std::string::npos) return damaged(line, "is cut");
    const std::string whole = text.substr(at, end - at);
    at = end + 1;
    // Two characters part hash and name: a space, and a space or the asterisk of binary mode.
    if (whole.size() < 67 || !isHex(whole.substr(0, 64)) || whole[64] != ' ' || (whole[65] != ' ' && whole[65] != '*'))
      return damaged(line, "is not \"<64 hexadecimal digits>  <path>\"");
    std::string path = whole.substr(66);
    if (path.compare(0, 2, "./") == 0) path.erase(0, 2);
    if (const std::string why = pathProblem(path); !why.empty())
      return problem(ErrorCode::BadInput, "HostilePath",
                     "line " + std::to_string(line) + " of SHA256SUMS names a path that is refused: " + why);
    if (!sums.emplace(path, whole.substr(0, 64)).second) return damaged(line, "names " + path + " a second time");
  }
  if (sums.empty())
    return problem(ErrorCode::BadInput, "BackupDamaged",
                   "SHA256SUMS is empty: the backup was not finished, or its end was lost");
  return sums;
}

}  // namespace rollback::mover

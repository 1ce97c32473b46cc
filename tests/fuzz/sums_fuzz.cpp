// SHA256SUMS: what is accepted names only files below the folder, and is written again alike.
#include "fuzz.h"
#include "mover/files.h"
#include "mover/sums.h"

void rollback::fuzz::one(std::string_view input) {
  const auto first = mover::decodeSums(std::string(input));
  if (!first) {
    require(first.error().reason == "BackupDamaged" || first.error().reason == "HostilePath", "a refusal by name");
    return;
  }
  require(!first->empty(), "no list is empty");
  for (const auto& [path, hex] : *first) {
    require(mover::pathProblem(path).empty(), "no path leaves the folder");
    require(hex.size() == 64 && hex.find_first_not_of("0123456789abcdef") == std::string::npos, "a SHA-256 in hex");
  }
  const auto second = mover::decodeSums(mover::encodeSums(*first));
  require(second.ok() && *second == *first, "what we write we read alike");
  require(!mover::decodeSums(std::string(input.substr(0, input.size() - 1))).ok(), "without its last byte it is cut");
}

#include "mover/names.h"

#include <algorithm>
#include <cctype>

#include "mover/digest.h"

namespace rollback::mover {
namespace {

constexpr std::size_t kLongest = 63;  // NAMEDATALEN - 1
constexpr std::size_t kTold = 8;      // hex digits that tell one base that was cut from another
const std::string kVoid = "_void";

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

}  // namespace

std::string generatedName(const std::string& base, const std::string& suffix) {
  const std::size_t room = kLongest - std::min(suffix.size(), kLongest);
  if (base.size() <= room) return base + suffix;
  std::size_t keep = room - std::min(room, kTold + 1);
  while (keep > 0 && continues(base[keep])) --keep;
  return base.substr(0, keep) + "_" + sha256Hex(base).substr(0, kTold) + suffix;
}

std::string stageName(const std::string& base, const std::string& id, int attempt) {
  return generatedName(base, "_stage_" + id + "_" + std::to_string(attempt));
}
std::string prevName(const std::string& base, const std::string& id) { return generatedName(base, "_prev_" + id); }
std::string revertedName(const std::string& base, const std::string& id) {
  return generatedName(base, "_reverted_" + id);
}

std::string voidName(const std::string& base, const std::string& id, int attempt) {
  return generatedName(base, "_stage_" + id + "_" + std::to_string(attempt) + kVoid);
}

int stageAttempt(const std::string& name, const std::string& base, const std::string& id) {
  const std::size_t at = name.rfind("_stage_" + id + "_");
  if (id.empty() || at == std::string::npos) return 0;
  std::string digits = name.substr(at + 8 + id.size());
  const std::size_t mark = digits.rfind(kVoid);
  const bool isVoid = mark != std::string::npos && mark + kVoid.size() == digits.size();
  if (isVoid) digits.resize(mark);
  if (digits.empty() || digits.size() > 6 ||
      !std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return std::isdigit(c); }))
    return 0;
  const int attempt = std::stoi(digits);
  return (isVoid ? voidName(base, id, attempt) : stageName(base, id, attempt)) == name ? attempt : 0;
}

bool isKeptCopy(const std::string& name, const std::string& base) {
  for (const char* mark : {"_stage_", "_prev_", "_reverted_"}) {
    const std::size_t at = name.rfind(mark);
    if (at != std::string::npos && at > 0 && generatedName(base, name.substr(at)) == name) return true;
  }
  return false;
}

bool isReserved(const std::string& name, const std::string& maintenanceDatabase) {
  return name == "postgres" || name == "template0" || name == "template1" || name == maintenanceDatabase;
}

}  // namespace rollback::mover

// Names of the databases that are the mover's own. Each is used once, so a replayed statement fails instead of acting
// twice.
#pragma once

#include <string>

namespace rollback::mover {

// PostgreSQL cuts names at 63 bytes, silently. Here the base is cut, at a character boundary, and never the suffix: two
// copies of one long name never clash. What was cut ends in a digest of the whole, so that the copies of two databases
// of one server whose long names begin alike do not clash either.
std::string generatedName(const std::string& base, const std::string& suffix);

std::string stageName(const std::string& base, const std::string& id, int attempt);
std::string prevName(const std::string& base, const std::string& id);
std::string revertedName(const std::string& base, const std::string& id);
// A shadow that may not be switched in any more: no switch knows it by this name.
std::string voidName(const std::string& base, const std::string& id, int attempt);

// The attempt, if `name` is a shadow of `base` made for `id`, void or not; 0 if it is not.
int stageAttempt(const std::string& name, const std::string& base, const std::string& id);
// A shadow, previous or reverted copy of `base`, whoever made it.
bool isKeptCopy(const std::string& name, const std::string& base);
// Databases that are never renamed or dropped.
bool isReserved(const std::string& name, const std::string& maintenanceDatabase);

}  // namespace rollback::mover

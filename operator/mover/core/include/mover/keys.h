// Keys that must be the same now as when a backup was taken. Only a fingerprint is kept: scrypt with a salt of its own
// per backup.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mover/environment.h"
#include "mover/manifest.h"
#include "mover/task.h"

namespace rollback::mover {

struct KeyState {
  std::string name, state, reason;  // Match | Differ | Unknown
};

std::vector<KeyRecord> fingerprintKeys(Environment& env, const std::vector<std::string>& names);
std::vector<KeyState> compareKeys(Environment& env, const std::vector<std::string>& names, const Manifest* manifest);

}  // namespace rollback::mover

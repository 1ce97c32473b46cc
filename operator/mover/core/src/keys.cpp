#include "mover/keys.h"

namespace rollback::mover {

std::vector<KeyRecord> fingerprintKeys(Environment& env, const std::vector<std::string>& names) {
  std::vector<KeyRecord> out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    KeyRecord record;
    record.name = names[i];
    const auto value = env.key(i);
    if (value && !value->empty()) {
      const std::string salt = env.random.bytes(16);
      if (auto fingerprint = scryptHex(*value, salt, record.cost)) {
        record.salt = toHex(salt);
        record.fingerprint = *fingerprint;
      }
    }
    out.push_back(std::move(record));
  }
  return out;
}

std::vector<KeyState> compareKeys(Environment& env, const std::vector<std::string>& names, const Manifest* manifest) {
  std::vector<KeyState> out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    KeyState state{names[i], "Unknown", ""};
    const auto value = env.key(i);
    const KeyRecord* recorded = nullptr;
    if (manifest)
      for (const auto& key : manifest->keys)
        if (key.name == names[i]) recorded = &key;
    if (!value)
      state.reason = "the workload gives it as a literal, from a file, or from a source that does not exist";
    else if (value->empty())
      state.reason = "it is empty";
    else if (!manifest)
      state.reason = "there is no backup to compare it with";
    else if (!recorded || recorded->fingerprint.empty())
      state.reason = "the backup has no fingerprint of it";
    else {
      const auto salt = fromHex(recorded->salt);
      const auto now = salt ? scryptHex(*value, *salt, recorded->cost) : Result<std::string>(salt.error());
      if (!now)
        state.reason = "its fingerprint in the backup cannot be computed: " + now.error().message;
      else if (*now == recorded->fingerprint)
        state.state = "Match";
      else {
        state.state = "Differ";
        state.reason = "the backup was taken with another value: what it encrypted could not be read";
      }
    }
    out.push_back(std::move(state));
  }
  return out;
}

}  // namespace rollback::mover

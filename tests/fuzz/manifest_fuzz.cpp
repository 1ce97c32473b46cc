// backup-manifest.json: what is understood is written again so that it is understood alike.
#include <nlohmann/json.hpp>

#include "fuzz.h"
#include "mover/files.h"
#include "mover/manifest.h"

void rollback::fuzz::one(std::string_view input) {
  const auto first = mover::decodeManifest(std::string(input));
  if (!first) {
    const std::string& why = first.error().reason;
    require(why == "BackupDamaged" || why == "ManifestUnsupported" || why == "HostilePath", "a refusal by name");
    return;
  }
  for (const auto& store : first->stores) {
    if (!store.path.empty()) require(mover::pathProblem(store.path).empty(), "no path leaves the folder");
    if (!store.catalogPath.empty()) require(mover::pathProblem(store.catalogPath).empty(), "no path leaves the folder");
  }
  const std::string text = mover::encodeManifest(*first);
  const auto second = mover::decodeManifest(text);
  require(second.ok(), "what we write we can read");
  require(mover::encodeManifest(*second) == text, "and it says the same");
  require(!nlohmann::json::parse(mover::encodeManifestSummary(*first), nullptr, false).is_discarded(),
          "the summary is JSON");
}

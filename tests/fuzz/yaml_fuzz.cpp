// YAML to JSON: what comes out is JSON, and reading that again changes nothing.
#include <nlohmann/json.hpp>

#include "fuzz.h"
#include "kube/client/yaml.h"

void rollback::fuzz::one(std::string_view input) {
  const auto first = kube::yamlToJson(input);
  if (!first) {
    require(!first.error().message.empty() && first.error().code == ErrorCode::BadInput, "a refusal says why");
    return;
  }
  const auto document = nlohmann::json::parse(*first, nullptr, false);
  require(!document.is_discarded(), "the result is JSON");
  const auto again = kube::yamlToJson(*first);
  require(again.ok(), "JSON is YAML");
  require(nlohmann::json::parse(*again) == document, "and means the same");
}

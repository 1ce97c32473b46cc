// The definitions of crds/ as the tests see them: an example that has every field, and whether a value is what they let
// through.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace rollback::testing {

// A YAML file's only document as JSON; scalars without quotes become numbers and booleans as in Kubernetes.
nlohmann::json loadYaml(const std::string& path);
std::vector<nlohmann::json> loadYamlDocuments(const std::string& path);

// The schema of crds/<plural>.yaml, descended along `property` names.
nlohmann::json schemaOf(const std::string& plural, const std::string& property);

// A value with every field and one entry in every list and map, no two scalars alike where the schema lets them differ.
nlohmann::json exampleOf(const nlohmann::json& schema);

// What the API server would say about `value`, each with its path: unknown and missing fields, types, lengths, sizes,
// enums, patterns, duplicate keys of lists.
std::vector<std::string> faultsOf(const nlohmann::json& schema, const nlohmann::json& value);

// Paths of all scalars, as "stores[].postgres.host".
std::vector<std::string> leavesOf(const nlohmann::json& schema);
// The scalar at such a path in a value made by exampleOf.
nlohmann::json at(const nlohmann::json& value, const std::string& leaf);

}  // namespace rollback::testing

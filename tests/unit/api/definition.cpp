#include "api/definition.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

namespace rollback::testing {
namespace {

using nlohmann::json;

json scalar(const YAML::Node& node) {
  const std::string text = node.Scalar();
  if (node.Tag() == "!") return text;  // it had quotes
  if (text == "true" || text == "false") return text == "true";
  if (text == "null" || text == "~") return nullptr;
  static const std::regex integer("-?(0|[1-9][0-9]*)");
  if (std::regex_match(text, integer)) return std::stoll(text);
  return text;
}

json convert(const YAML::Node& node) {
  if (node.IsScalar()) return scalar(node);
  json out = node.IsSequence() ? json::array() : json::object();
  if (node.IsSequence())
    for (const auto& entry : node) out.push_back(convert(entry));
  if (node.IsMap())
    for (const auto& entry : node) out[entry.first.Scalar()] = convert(entry.second);
  return node.IsNull() ? json() : out;
}

json example(const json& schema, int& next) {
  ++next;
  if (schema.contains("enum")) return schema["enum"].back();
  if (schema.contains("x-kubernetes-int-or-string")) return next;
  const std::string type = schema.at("type");
  if (type == "boolean") return true;
  if (type == "integer") return next;
  if (type == "array") return json::array({example(schema.at("items"), next)});
  if (type == "object") {
    json out = json::object();
    if (schema.contains("additionalProperties"))
      out["key" + std::to_string(next)] = example(schema["additionalProperties"], next);
    if (schema.contains("properties"))
      for (const auto& [name, property] : schema["properties"].items()) out[name] = example(property, next);
    return out;
  }
  if (schema.value("format", "") == "date-time") return "2026-11-24T00:00:" + std::to_string(10 + next % 50) + "Z";
  return "s" + std::to_string(next);
}

// Characters, as Kubernetes counts a maxLength.
std::size_t lengthOf(const std::string& text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

void stringFaults(const json& schema, const std::string& value, const std::string& path,
                  std::vector<std::string>& out) {
  if (schema.contains("maxLength") && lengthOf(value) > schema["maxLength"].get<std::size_t>())
    out.push_back(path + ": too long");
  if (schema.contains("minLength") && lengthOf(value) < schema["minLength"].get<std::size_t>())
    out.push_back(path + ": too short");
  if (schema.contains("pattern") && !std::regex_search(value, std::regex(schema["pattern"].get<std::string>())))
    out.push_back(path + ": no match");
}

void faults(const json& schema, const json& value, const std::string& path, std::vector<std::string>& out) {
  if (schema.contains("enum")) {
    if (std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
      out.push_back(path + ": not in the enum: " + value.dump());
    return;
  }
  const std::string type = schema.value("type", "");
  if (type == "object"    ? !value.is_object()
      : type == "array"   ? !value.is_array()
      : type == "string"  ? !value.is_string()
      : type == "integer" ? !value.is_number_integer()
      : type == "boolean" ? !value.is_boolean()
                          : false) {
    out.push_back(path + ": not of type " + type + ": " + value.dump());
    return;
  }
  if (value.is_string()) stringFaults(schema, value, path, out);
  if (type == "integer" && schema.contains("minimum") && value < schema["minimum"]) out.push_back(path + ": too small");
  if (type == "array") {
    if (schema.contains("maxItems") && value.size() > schema["maxItems"].get<std::size_t>())
      out.push_back(path + ": too many");
    std::set<std::string> seen;
    for (const auto& item : value) {
      faults(schema["items"], item, path + "[]", out);
      if (!schema.contains("x-kubernetes-list-map-keys")) continue;
      std::string key;
      for (const auto& name : schema["x-kubernetes-list-map-keys"])
        key += item.value(json::json_pointer("/" + name.get<std::string>()), json()).dump() + " ";
      if (!seen.insert(key).second) out.push_back(path + ": twice " + key);
    }
  }
  if (type != "object") return;
  for (const auto& name : schema.value("required", json::array()))
    if (!value.contains(name.get<std::string>())) out.push_back(path + "." + name.get<std::string>() + ": missing");
  for (const auto& [name, member] : value.items()) {
    if (schema.contains("properties") && schema["properties"].contains(name))
      faults(schema["properties"][name], member, path + "." + name, out);
    else if (schema.contains("additionalProperties"))
      faults(schema["additionalProperties"], member, path + "{}", out);
    else
      out.push_back(path + "." + name + ": unknown, the API server would drop it");
  }
}

void leaves(const json& schema, const std::string& path, std::vector<std::string>& out) {
  const std::string type = schema.value("type", "");
  if (type == "array") return leaves(schema.at("items"), path + "[]", out);
  if (schema.contains("additionalProperties")) return leaves(schema["additionalProperties"], path + "{}", out);
  if (type != "object") return out.push_back(path);
  for (const auto& [name, property] : schema.at("properties").items())
    leaves(property, path.empty() ? name : path + "." + name, out);
}

}  // namespace

std::vector<json> loadYamlDocuments(const std::string& path) {
  std::vector<json> out;
  for (const auto& document : YAML::LoadAllFromFile(path)) out.push_back(convert(document));
  return out;
}

json loadYaml(const std::string& path) { return loadYamlDocuments(path).at(0); }

json schemaOf(const std::string& plural, const std::string& property) {
  const json definition = loadYaml(std::string(FROLLBACK_SOURCE_DIR) + "/crds/" + plural + ".yaml");
  return definition.at("spec").at("versions").at(0).at("schema").at("openAPIV3Schema").at("properties").at(property);
}

json exampleOf(const json& schema) {
  int next = 0;
  return example(schema, next);
}

std::vector<std::string> faultsOf(const json& schema, const json& value) {
  std::vector<std::string> out;
  faults(schema, value, "", out);
  return out;
}

std::vector<std::string> leavesOf(const json& schema) {
  std::vector<std::string> out;
  leaves(schema, "", out);
  return out;
}

json at(const json& value, const std::string& leaf) {
  if (leaf.empty()) return value;
  if (leaf.rfind("[]", 0) == 0) return at(value.at(0), leaf.substr(leaf.size() > 2 && leaf[2] == '.' ? 3 : 2));
  if (leaf.rfind("{}", 0) == 0)
    return at(value.begin().value(), leaf.substr(leaf.size() > 2 && leaf[2] == '.' ? 3 : 2));
  const auto end = leaf.find_first_of(".[{");
  if (end == std::string::npos) return value.at(leaf);
  return at(value.at(leaf.substr(0, end)), leaf.substr(leaf[end] == '.' ? end + 1 : end));
}

}  // namespace rollback::testing

// Reading and writing members leniently: the API server has checked the schema; an absent or mistyped member keeps its
// default.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/framework.h"
#include "api/resources.h"
#include "base/result.h"
#include "kube/objects/meta.h"

namespace rollback::api::codec {

using nlohmann::json;

const json& child(const json& at, const char* name);
std::string text(const json& at, const char* name, const std::string& otherwise = "");
std::int64_t integer(const json& at, const char* name, std::int64_t otherwise = 0);
bool flag(const json& at, const char* name, bool otherwise = false);
std::vector<std::string> texts(const json& at);
std::map<std::string, std::string> textMap(const json& at);

// Adds a member unless it is empty (zero, false): what is not there need not be written.
void put(json& at, const char* name, const std::string& value);
void put(json& at, const char* name, std::int64_t value);
void put(json& at, const char* name, bool value);
void put(json& at, const char* name, json value);

// At most `bytes` of `text`, cut before a character. What a program or a server said is cut to what the definition lets
// through: a status that is refused for one long word could never be written again.
std::string clip(const std::string& text, std::size_t bytes);
// A condition's reason, made to fit metav1: one word of letters, digits and `_,:`. "Unknown" if nothing is left.
std::string reasonWord(const std::string& text);

std::string dump(const json& document);

using Images = std::vector<std::pair<std::string, std::string>>;
Images images(const json& at);
json images(const Images& list);
SchemaLevel schemaLevel(const json& at);
json schemaLevel(const SchemaLevel& level);
std::vector<StoreSchema> storeSchemas(const json& at);
json storeSchemas(const std::vector<StoreSchema>& list);
std::vector<StepRecord> steps(const json& at);
json steps(const std::vector<StepRecord>& list);
std::vector<kube::Condition> conditions(const json& at);
json conditions(const std::vector<kube::Condition>& list);

// Parses an object of `kind`; Protocol error otherwise. `meta` is filled.
Result<json> object(std::string_view document, const kube::Resource& resource, kube::ObjectMeta& meta);
// The envelope of a status write: apiVersion, kind, and the metadata that aims it.
json envelope(const kube::Resource& resource, const kube::ObjectMeta& meta);

}  // namespace rollback::api::codec

#include "codec.h"

#include <cctype>
#include <nlohmann/json.hpp>

#include "kube/objects/document.h"

namespace rollback::api::codec {

const json& child(const json& at, const char* name) {
  static const json none;
  if (!at.is_object()) return none;
  const auto found = at.find(name);
  return found == at.end() ? none : *found;
}
std::string text(const json& at, const char* name, const std::string& otherwise) {
  const json& value = child(at, name);
  return value.is_string() ? value.get<std::string>() : otherwise;
}
std::int64_t integer(const json& at, const char* name, std::int64_t otherwise) {
  const json& value = child(at, name);
  return value.is_number_integer() ? value.get<std::int64_t>() : otherwise;
}
bool flag(const json& at, const char* name, bool otherwise) {
  const json& value = child(at, name);
  return value.is_boolean() ? value.get<bool>() : otherwise;
}
std::vector<std::string> texts(const json& at) {
  std::vector<std::string> out;
  if (at.is_array())
    for (const auto& value : at)
      if (value.is_string()) out.push_back(value.get<std::string>());
  return out;
}
std::map<std::string, std::string> textMap(const json& at) {
  std::map<std::string, std::string> out;
  if (at.is_object())
    for (const auto& [key, value] : at.items())
      if (value.is_string()) out[key] = value.get<std::string>();
  return out;
}

void put(json& at, const char* name, const std::string& value) {
  if (!value.empty()) at[name] = value;
}
void put(json& at, const char* name, std::int64_t value) {
  if (value != 0) at[name] = value;
}
void put(json& at, const char* name, bool value) {
  if (value) at[name] = value;
}
void put(json& at, const char* name, json value) {
  if (!value.is_null() && !value.empty()) at[name] = std::move(value);
}

std::string clip(const std::string& text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

std::string reasonWord(const std::string& text) {
  std::string out;
  for (const char c : text)
    if (out.size() < 256 &&
        (std::isalnum(static_cast<unsigned char>(c)) || (!out.empty() && (c == '_' || c == ',' || c == ':'))))
      out += c;
  while (!out.empty() && !std::isalnum(static_cast<unsigned char>(out.back())) && out.back() != '_') out.pop_back();
  return out.empty() || std::isdigit(static_cast<unsigned char>(out.front())) ? "Unknown" : out;
}

std::string dump(const json& document) { return document.dump(-1, ' ', false, json::error_handler_t::replace); }

Images images(const json& at) {
  Images out;
  if (at.is_array())
    for (const auto& entry : at) out.emplace_back(text(entry, "component"), text(entry, "image"));
  return out;
}
json images(const Images& list) {
  json out = json::array();
  for (const auto& [component, image] : list) out.push_back({{"component", component}, {"image", clip(image, 1024)}});
  return out;
}

SchemaLevel schemaLevel(const json& at) {
  return {integer(at, "count"), text(at, "digest"), text(at, "structureDigest"), text(at, "unknownReason")};
}
json schemaLevel(const SchemaLevel& level) {
  json out = json::object();
  put(out, "count", level.count);
  put(out, "digest", level.digest);
  put(out, "structureDigest", level.structureDigest);
  put(out, "unknownReason", clip(level.unknownReason, 1024));
  return out;
}
std::vector<StoreSchema> storeSchemas(const json& at) {
  std::vector<StoreSchema> out;
  if (at.is_array())
    for (const auto& entry : at) out.push_back({text(entry, "store"), schemaLevel(child(entry, "schema"))});
  return out;
}
json storeSchemas(const std::vector<StoreSchema>& list) {
  json out = json::array();
  for (const auto& entry : list) out.push_back({{"store", entry.store}, {"schema", schemaLevel(entry.schema)}});
  return out;
}

std::vector<StepRecord> steps(const json& at) {
  std::vector<StepRecord> out;
  if (!at.is_array()) return out;
  for (const auto& entry : at) {
    StepRecord record;
    record.name = text(entry, "name");
    record.store = text(entry, "store");
    record.state = text(entry, "state");
    record.attempt = static_cast<int>(integer(entry, "attempt"));
    const json& job = child(entry, "job");
    record.jobName = text(job, "name");
    record.jobUid = text(job, "uid");
    record.token = text(entry, "token");
    record.startedAt = text(entry, "startedAt");
    record.completedAt = text(entry, "completedAt");
    record.message = text(entry, "message");
    if (const json& progress = child(entry, "progress"); progress.is_object())
      record.progress = StepProgress{integer(progress, "done"), integer(progress, "total"), text(progress, "unit")};
    out.push_back(std::move(record));
  }
  return out;
}
json steps(const std::vector<StepRecord>& list) {
  json out = json::array();
  for (const auto& record : list) {
    json entry = {{"name", record.name}, {"store", record.store}};
    put(entry, "state", record.state);
    put(entry, "attempt", static_cast<std::int64_t>(record.attempt));
    json job = json::object();
    put(job, "name", record.jobName);
    put(job, "uid", record.jobUid);
    put(entry, "job", job);
    put(entry, "token", clip(record.token, 256));
    put(entry, "startedAt", record.startedAt);
    put(entry, "completedAt", record.completedAt);
    put(entry, "message", clip(record.message, 2048));
    if (record.progress)
      entry["progress"] = {{"done", record.progress->done},
                           {"total", record.progress->total},
                           {"unit", clip(record.progress->unit, 64)}};
    out.push_back(std::move(entry));
  }
  return out;
}

std::vector<kube::Condition> conditions(const json& at) {
  std::vector<kube::Condition> out;
  out.reserve(at.is_array() ? at.size() : 0);
  if (at.is_array())
    for (const auto& entry : at)
      out.push_back({text(entry, "type"), text(entry, "status"), text(entry, "reason"), text(entry, "message"),
                     text(entry, "lastTransitionTime"), integer(entry, "observedGeneration")});
  return out;
}
json conditions(const std::vector<kube::Condition>& list) {
  json out = json::array();
  for (const auto& c : list) {
    json entry = {{"type", c.type},
                  {"status", c.status},
                  {"reason", reasonWord(c.reason)},
                  {"message", clip(c.message, 4096)},
                  {"lastTransitionTime", c.lastTransitionTime}};
    put(entry, "observedGeneration", c.observedGeneration);
    out.push_back(std::move(entry));
  }
  return out;
}

Result<json> object(std::string_view document, const kube::Resource& resource, kube::ObjectMeta& meta) {
  auto doc = kube::decodeObject(document, meta);
  // Elements of a list carry no kind of their own.
  if (doc && doc->contains("kind") && text(*doc, "kind") != resource.kind)
    return Error{ErrorCode::Protocol, "not a " + resource.kind + " but a " + text(*doc, "kind")};
  return doc;
}

json envelope(const kube::Resource& resource, const kube::ObjectMeta& meta) {
  json metadata = {{"name", meta.name}, {"uid", meta.uid}, {"resourceVersion", meta.resourceVersion}};
  if (!meta.namespace_.empty()) metadata["namespace"] = meta.namespace_;
  return {{"apiVersion", resource.apiVersion()}, {"kind", resource.kind}, {"metadata", metadata}};
}

}  // namespace rollback::api::codec

#include "decode.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace rollback::kube::decode {

using nlohmann::json;

namespace {

constexpr int kMaxDepth = 128;  // as json::Projection; nlohmann itself has no limit and dump() recurses

// Of what is JSON; of anything else the parser says so.
bool isTooDeep(std::string_view text) {
  const auto opened =
      std::count(text.begin(), text.end(), '{') + std::count(text.begin(), text.end(), '[');  // many bytes at a time
  if (opened <= kMaxDepth) return false;
  int depth = 0;
  bool inString = false;
  for (std::size_t i = 0; i < text.size() && depth <= kMaxDepth; ++i) {
    const char each = text[i];
    if (inString && each == '\\')
      ++i;
    else if (each == '"')
      inString = !inString;
    else if (!inString && (each == '{' || each == '['))
      ++depth;
    else if (!inString && (each == '}' || each == ']'))
      --depth;
  }
  return depth > kMaxDepth;
}

bool isKept(int depth, json::parse_event_t event, json& parsed) {
  return !(event == json::parse_event_t::key && depth == 2 && parsed == "managedFields");
}

}  // namespace

Result<json> parse(std::string_view text, const char* what, ManagedFields managed) {
  const auto fault = [&](const std::string& how) {
    return Error{ErrorCode::Protocol,
                 std::string("reading a ") + what + " of " + std::to_string(text.size()) + " bytes: " + how};
  };
  if (isTooDeep(text)) return fault("it nests deeper than " + std::to_string(kMaxDepth));
  // To be asked of each value costs as much again as to parse it.
  const bool drops = managed == ManagedFields::Drop && text.find("\"managedFields\"") != std::string_view::npos;
  json document =
      json::parse(text.begin(), text.end(), drops ? isKept : json::parser_callback_t(), /*allow_exceptions=*/false);
  if (document.is_discarded()) return fault("it is not JSON");
  if (!document.is_object()) return fault("it is JSON, but not an object");
  return document;
}

Fields::Fields(const json& document, std::string& fault) : Fields(&document, "", fault) {}

const json* Fields::find(const char* name) const {
  if (object_ == nullptr) return nullptr;
  const auto found = object_->find(name);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

std::string Fields::pathOf(const char* name) const { return path_.empty() ? name : path_ + "." + name; }

void Fields::refuse(const char* name, const char* expected) const {
  if (fault_.empty()) fault_ = pathOf(name) + " is not " + expected;
}

std::string Fields::string(const char* name) const {
  const json* value = find(name);
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  refuse(name, "a string");
  return {};
}

std::int64_t Fields::integer(const char* name, std::int64_t otherwise) const {
  const json* value = find(name);
  if (value == nullptr) return otherwise;
  if (value->is_number_integer()) {
    if (!value->is_number_unsigned() ||
        value->get<std::uint64_t>() <= std::uint64_t(std::numeric_limits<std::int64_t>::max())) {
      return value->get<std::int64_t>();
    }
  }
  refuse(name, "a 64-bit integer");
  return otherwise;
}

int Fields::count(const char* name, int otherwise) const {
  return int(std::clamp<std::int64_t>(integer(name, otherwise), std::numeric_limits<int>::min(),
                                      std::numeric_limits<int>::max()));
}

bool Fields::boolean(const char* name, bool otherwise) const {
  const json* value = find(name);
  if (value == nullptr) return otherwise;
  if (value->is_boolean()) return value->get<bool>();
  refuse(name, "a boolean");
  return otherwise;
}

std::map<std::string, std::string> Fields::stringMap(const char* name) const {
  std::map<std::string, std::string> result;
  const json* value = find(name);
  if (value == nullptr) return result;
  if (!value->is_object()) {
    refuse(name, "an object");
    return result;
  }
  for (const auto& member : value->items()) {
    if (member.value().is_string()) {
      result.emplace(member.key(), member.value().get<std::string>());
    } else if (!member.value().is_null()) {
      refuse(name, "a map of strings");
    }
  }
  return result;
}

std::vector<std::string> Fields::strings(const char* name) const {
  std::vector<std::string> result;
  const json* value = find(name);
  if (value == nullptr) return result;
  if (!value->is_array()) {
    refuse(name, "an array");
    return result;
  }
  for (const json& element : *value) {
    if (element.is_string()) {
      result.push_back(element.get<std::string>());
    } else {
      refuse(name, "an array of strings");
    }
  }
  return result;
}

Fields Fields::object(const char* name) const {
  const json* value = find(name);
  if (value != nullptr && !value->is_object()) {
    refuse(name, "an object");
    value = nullptr;
  }
  return Fields(value, pathOf(name), fault_);
}

void Fields::each(const char* name, const std::function<void(const Fields&)>& visit) const {
  const json* value = find(name);
  if (value == nullptr) return;
  if (!value->is_array()) return refuse(name, "an array");
  std::size_t index = 0;
  for (const json& element : *value) {
    if (element.is_object()) {
      visit(Fields(&element, pathOf(name) + "[" + std::to_string(index) + "]", fault_));
    } else {
      refuse(name, "an array of objects");
    }
    ++index;
  }
}

void Fields::members(const std::function<void(const std::string&, const Fields&)>& visit) const {
  if (object_ == nullptr) return;
  for (const auto& member : object_->items())
    if (member.value().is_object()) visit(member.key(), Fields(&member.value(), pathOf(member.key().c_str()), fault_));
}

std::string Fields::raw(const char* name) const {
  const json* value = find(name);
  return value == nullptr ? std::string() : value->dump(-1, ' ', false, json::error_handler_t::replace);
}

ObjectMeta readMeta(const Fields& object) {
  const Fields from = object.object("metadata");
  ObjectMeta meta;
  meta.name = from.string("name");
  meta.namespace_ = from.string("namespace");
  meta.uid = from.string("uid");
  meta.resourceVersion = from.string("resourceVersion");
  meta.generation = from.integer("generation");
  meta.creationTimestamp = from.string("creationTimestamp");
  meta.deletionTimestamp = from.string("deletionTimestamp");
  meta.labels = from.stringMap("labels");
  meta.annotations = from.stringMap("annotations");
  meta.finalizers = from.strings("finalizers");
  from.each("ownerReferences", [&](const Fields& owner) {
    meta.ownerReferences.push_back({owner.string("apiVersion"), owner.string("kind"), owner.string("name"),
                                    owner.string("uid"), owner.boolean("controller"),
                                    owner.boolean("blockOwnerDeletion")});
  });
  return meta;
}

Result<void> check(const Fields& object, const std::string& fault, const std::string& kind) {
  const std::string found = object.string("kind");
  if (!found.empty() && found != kind) {
    return Error{ErrorCode::Protocol, "reading a " + kind + ": the object is a " + found};
  }
  if (!object.has("metadata")) return Error{ErrorCode::Protocol, "reading a " + kind + ": it has no metadata"};
  if (fault.empty()) return {};
  const Fields meta = object.object("metadata");
  return Error{ErrorCode::Protocol,
               "reading " + kind + " " + meta.string("namespace") + "/" + meta.string("name") + ": " + fault};
}

}  // namespace rollback::kube::decode

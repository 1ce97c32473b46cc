// Reads members of one JSON object with the tolerance the API asks of its readers: absent and null members are
// defaults, unknown ones are ignored, a member of the wrong type is a fault. The first fault is kept with its path;
// reading goes on with defaults, so a decoder is straight code and asks once at its end.
//
// Not thread-safe; the document must outlive every Fields made from it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kube/objects/meta.h"

namespace rollback::kube::decode {

// Whether metadata.managedFields, half of a typical object, is kept: only a Workload's decoder asks who else writes it.
enum class ManagedFields { Drop, Keep };
// Parses one object. Protocol error if the text is no JSON object or nests deeper than 128.
Result<nlohmann::json> parse(std::string_view text, const char* what, ManagedFields managed = ManagedFields::Drop);

class Fields {
 public:
  Fields(const nlohmann::json& document, std::string& fault);

  bool has(const char* name) const { return find(name) != nullptr; }
  bool empty() const { return object_ == nullptr; }
  std::string string(const char* name) const;
  std::int64_t integer(const char* name, std::int64_t otherwise = 0) const;
  int count(const char* name, int otherwise = 0) const;  // an integer clamped to int
  bool boolean(const char* name, bool otherwise = false) const;
  std::map<std::string, std::string> stringMap(const char* name) const;
  std::vector<std::string> strings(const char* name) const;
  // The object at that name; an empty Fields, whose members are all absent, if there is none.
  Fields object(const char* name) const;
  void each(const char* name, const std::function<void(const Fields& element)>& visit) const;
  // The members of this object that are objects, with their names.
  void members(const std::function<void(const std::string& name, const Fields& member)>& visit) const;
  // The member as JSON text, "" if absent.
  std::string raw(const char* name) const;

 private:
  Fields(const nlohmann::json* object, std::string path, std::string& fault)
      : object_(object), path_(std::move(path)), fault_(fault) {}
  const nlohmann::json* find(const char* name) const;
  void refuse(const char* name, const char* expected) const;
  std::string pathOf(const char* name) const;

  const nlohmann::json* object_;  // null: nothing there
  std::string path_;
  std::string& fault_;
};

ObjectMeta readMeta(const Fields& object);

// Protocol error if `fault` is set, or if the object names a kind and it is not `kind`. The items of a typed list carry
// no kind, so its absence says nothing.
Result<void> check(const Fields& object, const std::string& fault, const std::string& kind);

}  // namespace rollback::kube::decode

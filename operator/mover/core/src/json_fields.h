// Reading JSON that a stranger wrote: every field absent or of the right type, else one Error. Private to the codecs.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace rollback::mover {

// Collects the first thing wrong, so a decoder reads like a list of fields.
class Fields {
 public:
  explicit Fields(const nlohmann::json& object, std::string where, std::string& problem)
      : object_(object), where_(std::move(where)), problem_(problem) {
    if (!object.is_object()) complain("", "an object");
  }

  void text(const char* name, std::string& out) {
    if (const auto* field = find(name)) {
      if (!field->is_string()) return complain(name, "a string");
      out = field->get<std::string>();
      if (out.find('\0') != std::string::npos) complain(name, "a string without NUL");
    }
  }
  template <typename T>
  void integer(const char* name, T& out, std::int64_t least, std::int64_t most) {
    if (const auto* field = find(name)) {
      if (!field->is_number_integer()) return complain(name, "a whole number");
      // Above the signed 64 bits it would come out negative.
      if (field->is_number_unsigned() && field->get<std::uint64_t>() > INT64_MAX)
        return complain(name, "within its range");
      const auto value = field->get<std::int64_t>();
      if (value < least || value > most) return complain(name, "within its range");
      out = static_cast<T>(value);
    }
  }
  void flag(const char* name, bool& out) {
    if (const auto* field = find(name)) {
      if (!field->is_boolean()) return complain(name, "true or false");
      out = field->get<bool>();
    }
  }
  void texts(const char* name, std::vector<std::string>& out) {
    each(name, [&](const nlohmann::json& item, const std::string&) {
      if (!item.is_string() || item.get_ref<const std::string&>().find('\0') != std::string::npos)
        return complain(name, "a list of strings");
      out.push_back(item.get<std::string>());
    });
  }
  // `take` gets a Fields of the object, if there is one.
  template <typename Take>
  void object(const char* name, Take take) {
    if (const auto* field = find(name)) {
      Fields inner(*field, where_ + name + ".", problem_);
      if (problem_.empty()) take(inner);
    }
  }
  template <typename Take>
  void objects(const char* name, Take take) {
    each(name, [&](const nlohmann::json& item, const std::string& place) {
      Fields inner(item, place + ".", problem_);
      if (problem_.empty()) take(inner);
    });
  }
  const nlohmann::json* find(const char* name) const {
    if (!problem_.empty() || !object_.is_object()) return nullptr;
    const auto at = object_.find(name);
    return at == object_.end() || at->is_null() ? nullptr : &*at;
  }
  void complain(const char* name, const char* wanted) {
    if (problem_.empty()) problem_ = "field " + where_ + name + " is not " + wanted;
  }

 private:
  template <typename Take>
  void each(const char* name, Take take) {
    const auto* field = find(name);
    if (!field) return;
    if (!field->is_array()) return complain(name, "a list");
    std::size_t index = 0;
    for (const auto& item : *field) take(item, where_ + name + "[" + std::to_string(index++) + "]");
  }

  const nlohmann::json& object_;
  std::string where_;
  std::string& problem_;
};

}  // namespace rollback::mover

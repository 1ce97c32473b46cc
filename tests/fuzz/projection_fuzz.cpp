// JSON projection: accepts exactly what is JSON, and reports the values a whole parse would show.
#include <map>
#include <nlohmann/json.hpp>

#include "fuzz.h"
#include "json/projection.h"

void rollback::fuzz::one(std::string_view input) {
  using rollback::json::Projection;
  using rollback::json::Value;
  static const Projection projection({"*", "metadata.*", "items.*.metadata.name", "*.*.*"});
  std::map<std::string, std::pair<Value::Kind, std::string>> seen;
  const auto result =
      projection.decode(input, [&](std::size_t path, const std::vector<std::string>& wild, const Value& value) {
        require(path < 4 && wild.size() == (path == 3 ? 3 : 1), "as many names as the path has stars");
        (void)value.integer();
        (void)value.boolean();
        if (path == 0) seen[wild[0]] = {value.kind, std::string(value.text)};
      });
  if (input.find('\0') != std::string_view::npos) {  // where the whole parse ends, whatever follows
    require(!result.ok(), "a zero byte is no JSON");
    return;
  }
  nlohmann::json document;
  try {
    document = nlohmann::json::parse(input.begin(), input.end());
  } catch (const nlohmann::json::out_of_range&) {
    return;  // a number beyond a double: JSON all the same, which the projection takes as it stands
  } catch (const nlohmann::json::parse_error&) {
    require(!result.ok(), "what the projection accepts is JSON");
    return;
  }
  if (depthAtMost(input) <= 128) require(result.ok(), "what is JSON and not too deep is accepted");
  if (!result.ok() || !document.is_object()) return;
  for (const auto& [name, value] : document.items()) {
    if (value.is_structured()) continue;
    const auto found = seen.find(name);
    require(found != seen.end(), "every scalar is reported");
    const auto& [kind, text] = found->second;
    if (value.is_string())
      require(kind == Value::Kind::String && value.get_ref<const std::string&>() == text, "a string as it is");
    else if (value.is_number())
      require(kind == Value::Kind::Number && nlohmann::json::parse(text) == value, "a number as it is");
    else
      require(value.dump() == text, "null, true or false as it is");
  }
}

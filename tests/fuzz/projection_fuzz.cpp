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
  const auto document = nlohmann::json::parse(input.begin(), input.end(), nullptr, false);
  if (result.ok()) require(!document.is_discarded(), "what the projection accepts is JSON");
  if (!document.is_discarded() && depthAtMost(input) <= 128) {
    // Numbers beyond a double are refused by the parser, not by the projection; there is no other difference.
    require(result.ok(), "what is JSON and not too deep is accepted");
  }
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

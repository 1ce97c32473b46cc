#include "kube/client/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <vector>

#include "yaml_scalar.h"

namespace rollback::kube {

namespace {

using nlohmann::json;

constexpr int kMaxDepth = 128;
constexpr std::size_t kMaxNodes = 100000;
constexpr std::size_t kMaxBytes = 16u << 20;

Error badYaml(const std::string& what, const YAML::Mark& mark) {
  const std::string where =
      mark.is_null() ? ""
                     : "line " + std::to_string(mark.line + 1) + ", column " + std::to_string(mark.column + 1) + ": ";
  return Error{ErrorCode::BadInput, "reading YAML: " + where + what};
}

std::string keyText(const json& key) { return key.is_string() ? key.get<std::string>() : key.dump(); }

// Nodes to JSON. An alias is converted wherever it stands, so the budgets count what comes out, not what was written; a
// node that holds itself runs into the depth.
class Converter {
 public:
  Result<json> convert(const YAML::Node& node, int depth) {
    if (depth > kMaxDepth) return badYaml("nested deeper than " + std::to_string(kMaxDepth), node.Mark());
    if (++nodes_ > kMaxNodes)
      return badYaml("more than " + std::to_string(kMaxNodes) + " nodes, aliases counted", node.Mark());
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null:
        return json(nullptr);
      case YAML::NodeType::Scalar:
        return scalar(node);
      case YAML::NodeType::Sequence:
        return sequence(node, depth);
      case YAML::NodeType::Map:
        return mapping(node, depth);
    }
    return badYaml("a node of unknown type", node.Mark());
  }

 private:
  Result<json> scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    bytes_ += text.size();
    if (bytes_ > kMaxBytes)
      return badYaml("more than " + std::to_string(kMaxBytes) + " bytes, aliases counted", node.Mark());
    const std::string core = "tag:yaml.org,2002:";
    const std::string& tag = node.Tag();  // "?": plain, "!": quoted or block
    if (tag == "!" || tag == core + "str") return json(text);
    if (tag != "?" && !tag.empty() && tag.compare(0, core.size(), core) != 0) {
      return badYaml("the tag " + tag + " has no JSON form", node.Mark());
    }
    auto value = resolvePlainScalar(text);
    if (!value) return badYaml(value.error().message, node.Mark());
    if (tag == "?" || tag.empty()) return value;
    const std::string wanted = tag.substr(core.size());
    const bool fits = (wanted == "bool" && value->is_boolean()) || (wanted == "int" && value->is_number_integer()) ||
                      (wanted == "float" && value->is_number()) || (wanted == "null" && value->is_null());
    if (!fits) return badYaml("the value is no " + wanted + ", or JSON has none", node.Mark());
    return value;
  }

  Result<json> sequence(const YAML::Node& node, int depth) {
    json array = json::array();
    for (const YAML::Node& element : node) {
      auto value = convert(element, depth + 1);
      if (!value) return value.error();
      array.push_back(std::move(*value));
    }
    return array;
  }

  Result<json> mapping(const YAML::Node& node, int depth) {
    json object = json::object();
    for (const auto& member : node) {
      const YAML::Node& keyNode = member.first;
      if (keyNode.IsNull()) return badYaml("a mapping key must not be null", keyNode.Mark());
      if (!keyNode.IsScalar()) return badYaml("a mapping key must be text, a number or a boolean", keyNode.Mark());
      if (keyNode.Scalar() == "<<" && keyNode.Tag() != "!") {
        return badYaml("merge keys (<<) are not supported; write the members out", keyNode.Mark());
      }
      auto key = scalar(keyNode);
      if (!key) return key.error();
      if (key->is_null()) return badYaml("a mapping key must not be null", keyNode.Mark());
      const std::string name = keyText(*key);
      if (object.contains(name)) return badYaml("the key '" + name + "' appears twice", keyNode.Mark());
      auto value = convert(member.second, depth + 1);
      if (!value) return value.error();
      object[name] = std::move(*value);
    }
    return object;
  }

  std::size_t nodes_ = 0;
  std::size_t bytes_ = 0;
};

// JSON with the same strictness. nullopt: it is not JSON (a YAML flow document may still begin with a brace).
std::optional<Result<json>> parseJson(std::string_view text) {
  std::vector<std::set<std::string>> keys;  // of the objects around the present position
  std::string twice;
  bool tooDeep = false;
  const auto see = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMaxDepth) tooDeep = true;
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second) {
      twice = parsed.get<std::string>();
    }
    return !tooDeep;
  };
  json document = json::parse(text.begin(), text.end(), see, /*allow_exceptions=*/false);
  if (tooDeep) return Error{ErrorCode::BadInput, "reading JSON: nested deeper than " + std::to_string(kMaxDepth)};
  if (document.is_discarded()) return std::nullopt;
  if (!twice.empty()) return Error{ErrorCode::BadInput, "reading JSON: the key '" + twice + "' appears twice"};
  return Result<json>(std::move(document));
}

// Reads a text without keeping it, because yaml-cpp takes some for documents without end: a comma that stands in no
// list is an empty document, is not passed, and is the next one.
class Walk : public YAML::EventHandler {
 public:
  static void through(const std::string& text) {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    Walk walk;
    while (parser.HandleNextDocument(walk)) continue;
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (mark.pos <= last_) throw YAML::ParserException(mark, "what stands here belongs to no list, mapping or scalar");
    last_ = mark.pos;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  int last_ = -1;
};

Result<json> parse(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  // yaml-cpp refuses the surrogate pairs that are ordinary in JSON.
  if (first != std::string_view::npos && (text[first] == '{' || text[first] == '[')) {
    if (auto asJson = parseJson(text)) return std::move(*asJson);
  }
  try {
    const std::string whole(text);
    Walk::through(whole);
    const std::vector<YAML::Node> documents = YAML::LoadAll(whole);
    // A quote that is never closed passes when the text ends with its line, so a file cut off there would, too. With
    // one more byte on that line, a comment to everybody else, it does not.
    if (!whole.empty() && whole.back() == '\n') Walk::through(whole + "#");
    std::optional<YAML::Node> only;
    for (const YAML::Node& each : documents) {
      if (each.IsNull()) continue;  // "---" before the first or after the last
      if (only) return badYaml("more than one document", each.Mark());
      only = each;
    }
    return only ? Converter().convert(*only, 0) : Result<json>(json(nullptr));
  } catch (const YAML::Exception& exception) {
    return badYaml(exception.msg, exception.mark);
  }
}

}  // namespace

Result<std::string> yamlToJson(std::string_view text) {
  auto document = parse(text);
  if (!document) return document.error();
  try {
    return document->dump();
  } catch (const nlohmann::json::exception&) {
    return Error{ErrorCode::BadInput, "reading YAML: the text is not valid UTF-8"};
  }
}

}  // namespace rollback::kube

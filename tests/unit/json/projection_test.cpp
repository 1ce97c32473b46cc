#include "json/projection.h"

#include <catch2/catch.hpp>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

namespace rollback::json {
namespace {

// "path|wild,wild|kind|text" of each value, in the order of the document.
struct Outcome {
  std::vector<std::string> values;
  Result<void> result;
};

std::string letterOf(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::String:
      return "s";
    case Value::Kind::Number:
      return "n";
    case Value::Kind::Boolean:
      return "b";
    case Value::Kind::Null:
      return "0";
  }
  return "?";
}

Outcome decode(std::vector<std::string> paths, std::string_view document) {
  Outcome out;
  out.result =
      Projection(std::move(paths)).decode(document, [&](std::size_t path, const auto& wild, const Value& value) {
        std::string line = std::to_string(path) + "|";
        for (const std::string& each : wild) line += each + ",";
        out.values.push_back(line + "|" + letterOf(value.kind) + "|" + std::string(value.text));
      });
  return out;
}

using Values = std::vector<std::string>;

Values valuesOf(std::vector<std::string> paths, std::string_view document) {
  const Outcome out = decode(std::move(paths), document);
  INFO(document);
  if (!out.result.ok()) FAIL(out.result.error().message);
  return out.values;
}

bool accepts(std::string_view document) { return decode({"wanted.*.deep"}, document).result.ok(); }
bool acceptsWhereAsked(std::string_view document) {
  return decode({"*", "*.*", "*.*.*", "*.*.*.*"}, document).result.ok();
}

TEST_CASE(
    "Given a Deployment, when names, labels and images are asked for, then only these come, with what the stars stood "
    "for") {
  const std::string deployment = R"({
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web", "a.b/c": "dotted"}, "managedFields": [{"f:x": {"name": "no"}}]},
    "spec": {"replicas": 3, "paused": false, "template": {"spec": {"containers": [
      {"name": "app", "image": "img:1", "env": [{"name": "image", "value": "no"}]}, {"image": "side:2", "name": "side"}]}}},
    "status": null})";
  CHECK(valuesOf({"metadata.name", "metadata.labels.*", "spec.template.spec.containers.*.image", "spec.replicas",
                  "spec.paused", "status"},
                 deployment) == Values{"0||s|web", "1|app,|s|web", "1|a.b/c,|s|dotted", "3||n|3", "4||b|false",
                                       "2|0,|s|img:1", "2|1,|s|side:2", "5||0|null"});
}

TEST_CASE("Given paths that overlap, when one value is met by several, then each reports it") {
  CHECK(valuesOf({"a.b", "a.*", "*.b", "*.*", "a.b"}, R"({"a":{"b":1,"c":2},"d":{"b":3}})") ==
        Values{"0||n|1", "1|b,|n|1", "2|a,|n|1", "3|a,b,|n|1", "4||n|1", "1|c,|n|2", "3|a,c,|n|2", "2|d,|n|3",
               "3|d,b,|n|3"});
}

TEST_CASE(
    "Given a path that ends at an object or array, or goes on below a scalar, when decoded, then nothing is reported") {
  CHECK(valuesOf({"a", "b.c", "d.*", "e.f"}, R"({"a":{"x":1},"b":2,"d":[[1],{"x":2}],"e":[{"f":1}]})").empty());
}

TEST_CASE("Given one member twice, when decoded, then both values come in order") {
  CHECK(valuesOf({"a"}, R"({"a":1,"a":"two"})") == Values{"0||n|1", "0||s|two"});
}

TEST_CASE("Given a document that is a scalar or an array, when decoded, then paths apply from there") {
  CHECK(valuesOf({"*"}, R"([true,"x",[]])") == Values{"0|0,|b|true", "0|1,|s|x"});
  CHECK(valuesOf({"a"}, "5").empty());
}

TEST_CASE("Given escapes in strings and member names, when decoded, then the text is what they stand for") {
  CHECK(valuesOf({"*"}, R"({"k":"\"\\\/\b\f\n\r\t"})") == Values{"0|k,|s|\"\\/\b\f\n\r\t"});
  CHECK(valuesOf({"name"}, R"({"\u006eame":"a\u0041z"})") == Values{"0||s|aAz"});
  CHECK(valuesOf({"*"}, R"({"\u00e9\n":"\u20AC \uD83D\uDE00\uDBFF\uDFFF"})") ==
        Values{"0|\xc3\xa9\n,|s|\xe2\x82\xac \xf0\x9f\x98\x80\xf4\x8f\xbf\xbf"});
}

TEST_CASE("Given a NUL, when it is escaped, then it is part of the text, and when it is bare, then it is refused") {
  std::size_t size = 0;
  std::string text;
  const auto result =
      Projection({"a"}).decode(R"({"a":"x\u0000y"})", [&](std::size_t, const auto&, const Value& value) {
        size = value.text.size();
        text = std::string(value.text);
      });
  REQUIRE(result.ok());
  CHECK(size == 3);
  CHECK(text == std::string("x\0y", 3));
  for (const std::string& document :
       {std::string("{\"a\":\"x\0y\"}", 11), std::string("{\"a\":1}\0", 8), std::string("\0{\"a\":1}", 8),
        std::string("{\"a\":\0}", 7), std::string("{\0}", 3), std::string("[\0]", 3), std::string("{\"a\"\0:1}", 8)}) {
    CHECK_FALSE(accepts(document));
    CHECK_FALSE(acceptsWhereAsked(document));
  }
}

TEST_CASE(
    "Given numbers and booleans, when read as C++ values, then those that do not fit give what was asked for instead") {
  const auto integer = [](const char* text) { return Value{Value::Kind::Number, text}.integer(-99); };
  CHECK(integer("0") == 0);
  CHECK(integer("-12") == -12);
  CHECK(integer("9223372036854775807") == std::numeric_limits<std::int64_t>::max());
  CHECK(integer("9223372036854775808") == -99);
  CHECK(integer("1.0") == -99);
  CHECK(integer("1e3") == -99);
  CHECK(Value{Value::Kind::String, "5"}.integer(-99) == -99);
  CHECK(Value{Value::Kind::Boolean, "true"}.boolean());
  CHECK_FALSE(Value{Value::Kind::Boolean, "false"}.boolean(true));
  CHECK(Value{Value::Kind::String, "true"}.boolean(false) == false);
  CHECK(Value{Value::Kind::Null, "null"}.boolean(true));
}

TEST_CASE(
    "Given nesting, when there are 128 containers, then it is read, and one more is refused, asked for or skipped") {
  const auto nested = [](std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  std::string stars = "*";
  for (int i = 1; i < 200; ++i) stars += ".*";
  for (const std::string& path : {std::string("other"), stars}) {
    CHECK(decode({path}, nested(128)).result.ok());
    CHECK_FALSE(decode({path}, nested(129)).result.ok());
    CHECK_FALSE(decode({path}, std::string(1'000'000, '[')).result.ok());
  }
}

TEST_CASE("Given malformed documents, when decoded, then they are refused as protocol errors, asked for or skipped") {
  for (const char* wrong : {"",
                            " ",
                            "{",
                            "}",
                            "[",
                            "]",
                            "{]",
                            "[}",
                            "{\"a\"}",
                            "{\"a\":}",
                            "{\"a\":1,}",
                            "{,}",
                            "{\"a\":1 \"b\":2}",
                            "{a:1}",
                            "{'a':1}",
                            "{1:2}",
                            "[1,]",
                            "[,]",
                            "[1 2]",
                            "{}{}",
                            "1 2",
                            "nul",
                            "nulll",
                            "True",
                            "tru",
                            "+1",
                            "-",
                            "01",
                            "-01",
                            "1.",
                            ".5",
                            "1.e3",
                            "1e",
                            "1e+",
                            "0x1",
                            "1_0",
                            "Infinity",
                            "NaN",
                            "\"",
                            "\"abc",
                            "\"\\\"",
                            "\"\\x\"",
                            "\"\\u12\"",
                            "\"\\u12g4\"",
                            "\"\\ud800\"",
                            "\"\\ud800x\"",
                            "\"\\ud800\\n\"",
                            "\"\\ud800\\u0041\"",
                            "\"\\udc00\"",
                            "\"\\udc00\\ud800\"",
                            "\"\n\"",
                            "\"\t\"",
                            "\"\x80\"",
                            "\"\xc3\"",
                            "\"\xc0\xaf\"",
                            "\"\xe0\x80\xaf\"",
                            "\"\xed\xa0\x80\"",
                            "\"\xf0\x80\x80\x80\"",
                            "\"\xf4\x90\x80\x80\"",
                            "\"\xff\"",
                            "\"\xe2\x82\"",
                            "\xef\xbb\xbf{}",
                            "// x\n{}",
                            "{\"a\":1}/**/"}) {
    for (const std::string& document :
         {std::string(wrong), "{\"x\":" + std::string(wrong) + "}", "[" + std::string(wrong) + "1"}) {
      INFO(document);
      const bool asked = acceptsWhereAsked(document);
      CHECK_FALSE(asked);
      CHECK(accepts(document) == asked);
      CHECK(decode({"*"}, document).result.error().code == ErrorCode::Protocol);
    }
  }
}

TEST_CASE("Given a document, when it is cut short at any byte, then it is refused") {
  const std::string whole = R"({"a":[1,-2.5e+3,true,null,"x\u00e9\ud83d\ude00"],"b":{"c":{}},"d":""})";
  REQUIRE(accepts(whole));
  REQUIRE(acceptsWhereAsked(whole));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    INFO(whole.substr(0, length));
    CHECK_FALSE(accepts(whole.substr(0, length)));
    CHECK_FALSE(acceptsWhereAsked(whole.substr(0, length)));
  }
}

TEST_CASE("Given an error, when it is told, then it names the byte and quotes nothing of the document") {
  const auto result = decode({"a"}, R"({"a":"secret"x})").result;
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::Protocol);
  CHECK_THAT(result.error().message, Catch::Contains("byte 13 of 15"));
  CHECK_THAT(result.error().message, !Catch::Contains("secret"));
}

TEST_CASE("Given values reported before an error, when decoding fails, then they were reported") {
  const Outcome out = decode({"a"}, R"({"a":1,)");
  CHECK_FALSE(out.result.ok());
  CHECK(out.values == Values{"0||n|1"});
}

// Another parser's verdict on the same bytes, and its idea of every leaf.
TEST_CASE(
    "Given documents with random bytes changed, when decoded, then they are accepted just when nlohmann accepts them") {
  std::mt19937 random(11);
  const std::string base =
      R"({"metadata":{"name":"x\n\u00e9","labels":{"a":"b","":""}},"n":[0,-1.5e3,12,true,false,null,[],{}],"s":"é€😀\ud83d\ude00"})";
  const std::string alphabet = "{}[]\",:\\u0123456789eE+-.dDcCaAbfnrt/ \n\t\xc3\xa9\xff\x80";
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = base;
    for (unsigned i = 1 + random() % 3; i > 0; --i) {
      const std::size_t at = random() % text.size();
      const char byte = alphabet[random() % alphabet.size()];
      switch (random() % 3) {
        case 0:
          text[at] = byte;
          break;
        case 1:
          text.insert(at, 1, byte);
          break;
        default:
          text.erase(at, 1 + random() % 3);
          break;
      }
    }
    bool expected = true;
    try {
      expected = !nlohmann::json::parse(text).is_discarded();
    } catch (const nlohmann::json::parse_error&) {
      expected = false;
    } catch (const nlohmann::json::out_of_range&) {
      continue;  // 1e999: well-formed, but beyond that parser's double
    }
    INFO(text);
    REQUIRE(accepts(text) == expected);
    REQUIRE(acceptsWhereAsked(text) == expected);
    accepted += expected ? 1 : 0;
  }
  CHECK(accepted > 500);
}

TEST_CASE("Given random documents, when all leaves are asked for, then they are those of another parser") {
  std::mt19937 random(13);
  std::function<nlohmann::ordered_json(int)> anything = [&](int depth) -> nlohmann::ordered_json {
    switch (random() % (depth > 0 ? 6u : 4u)) {
      case 0:
        return static_cast<int>(random() % 1000) - 500;
      case 1:
        return std::string("\"\\]}\n\x01\xc3\xa9\xf0\x9f\x98\x80").substr(0, random() % 7);
      case 2:
        return nullptr;
      case 3:
        return random() % 2 == 1;
      case 4: {
        auto array = nlohmann::ordered_json::array();
        for (unsigned i = random() % 4; i > 0; --i) array.push_back(anything(depth - 1));
        return array;
      }
      default: {
        auto object = nlohmann::ordered_json::object();
        for (unsigned i = random() % 4; i > 0; --i) object["k\n" + std::to_string(i)] = anything(depth - 1);
        return object;
      }
    }
  };
  std::function<void(const nlohmann::ordered_json&, const std::string&, std::size_t, Values&)> leaves =
      [&](const nlohmann::ordered_json& node, const std::string& trail, std::size_t depth, Values& out) {
        if (node.is_structured()) {
          for (const auto& [key, child] : node.items()) leaves(child, trail + key + ",", depth + 1, out);
        } else if (depth > 0) {
          const std::string kind = node.is_string() ? "s" : node.is_number() ? "n" : node.is_boolean() ? "b" : "0";
          const std::string text = node.is_string() ? node.get<std::string>() : node.dump();
          out.push_back(std::to_string(depth - 1) + "|" + trail + "|" + kind + "|" + text);
        }
      };
  for (int round = 0; round < 500; ++round) {
    const auto document = anything(5);
    const std::string text = document.dump(static_cast<int>(random() % 3) - 1, ' ', random() % 2 == 0);
    Values expected;
    leaves(document, "", 0, expected);
    REQUIRE(valuesOf({"*", "*.*", "*.*.*", "*.*.*.*", "*.*.*.*.*"}, text) == expected);
  }
}

}  // namespace
}  // namespace rollback::json

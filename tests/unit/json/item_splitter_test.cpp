#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "json/splitter.h"

namespace rollback::json {
namespace {

struct Outcome {
  std::vector<std::string> items;
  std::string envelope;
  Result<void> result;
};

// Feeds `pieces` until one is refused, then finishes.
Outcome split(const std::vector<std::string>& pieces, std::size_t maxItem = 8u << 20) {
  Outcome out;
  ItemSplitter splitter(
      [&](std::string_view item) {
        out.items.emplace_back(item);
        return Result<void>{};
      },
      maxItem);
  for (const std::string& each : pieces) {
    out.result = splitter.feed(each);
    if (!out.result) return out;
  }
  out.result = splitter.finish();
  out.envelope = splitter.envelope();
  return out;
}

// Every trap a scanner of strings and brackets has: quotes and brackets in strings, escapes at the end of strings, keys
// and values called "items" that are not the list's.
const std::string podList = R"( {"kind":"PodList","items" : [ {"a":"}]\"{","b":[[],{}],"items":[{"x":1}]} ,
  {"c":"\\","d":"\u007d\\\"","e":{"items":["]"]}},{}],
  "metadata":{"resourceVersion":"7","items":[{"not":"ours"}],"continue":"items"},"apiVersion":"v1"} )";
const std::vector<std::string> podListItems = {R"({"a":"}]\"{","b":[[],{}],"items":[{"x":1}]})",
                                               R"({"c":"\\","d":"\u007d\\\"","e":{"items":["]"]}})", "{}"};
const std::string podListEnvelope =
    R"({"kind":"PodList","items" : [],
  "metadata":{"resourceVersion":"7","items":[{"not":"ours"}],"continue":"items"},"apiVersion":"v1"})";

void checkPodList(const Outcome& outcome) {
  REQUIRE(outcome.result.ok());
  CHECK(outcome.items == podListItems);
  CHECK(outcome.envelope == podListEnvelope);
}

TEST_CASE("Given a list in one piece, when split, then each item comes whole and the envelope is left with no items") {
  checkPodList(split({podList}));
}

TEST_CASE("Given a list, when it is cut in two at any byte, then the items and the envelope are the same") {
  for (std::size_t cut = 0; cut <= podList.size(); ++cut) {
    INFO("cut at byte " << cut);
    checkPodList(split({podList.substr(0, cut), podList.substr(cut)}));
  }
}

TEST_CASE("Given a list, when it is cut in three at any two bytes, then the items are the same") {
  for (std::size_t first = 0; first <= podList.size(); ++first) {
    for (std::size_t second = first; second <= podList.size(); ++second) {
      const Outcome outcome =
          split({podList.substr(0, first), podList.substr(first, second - first), podList.substr(second)});
      INFO("cut at bytes " << first << " and " << second);
      REQUIRE(outcome.result.ok());
      REQUIRE(outcome.items == podListItems);
    }
  }
}

TEST_CASE("Given a list, when it comes byte by byte, then the items and the envelope are the same") {
  std::vector<std::string> bytes;
  for (const char each : podList) bytes.emplace_back(1, each);
  checkPodList(split(bytes));
}

TEST_CASE(
    "Given a list, when it is cut short at any byte, then finishing fails and only whole items were handed over") {
  const std::string trimmed = podList.substr(0, podList.find_last_of('}') + 1);
  for (std::size_t length = 0; length < trimmed.size(); ++length) {
    const Outcome outcome = split({trimmed.substr(0, length)});
    INFO("cut after " << length << " bytes");
    REQUIRE_FALSE(outcome.result.ok());
    CHECK(outcome.result.error().code == ErrorCode::Protocol);
    REQUIRE(outcome.items.size() <= podListItems.size());
    for (std::size_t i = 0; i < outcome.items.size(); ++i) CHECK(outcome.items[i] == podListItems[i]);
  }
}

TEST_CASE("Given items before or after the metadata, when split, then the metadata is in the envelope") {
  for (const char* list : {R"({"items":[{"n":1}],"metadata":{"resourceVersion":"9"}})",
                           R"({"metadata":{"resourceVersion":"9"},"items":[{"n":1}]})"}) {
    const Outcome outcome = split({list});
    REQUIRE(outcome.result.ok());
    CHECK(outcome.items == std::vector<std::string>{R"({"n":1})"});
    const auto envelope = nlohmann::json::parse(outcome.envelope);
    CHECK(envelope["metadata"]["resourceVersion"] == "9");
    CHECK(envelope["items"].empty());
  }
}

TEST_CASE("Given documents without a list of items, when split, then they are envelope from end to end") {
  for (const char* document :
       {R"({})", R"({"items":null})", R"({"items":[]})", R"({"items":{"items":[{}]}})",
        R"({"kind":"items","list":[{}]})", R"({"a":{"items":[{}]}})", R"({"a":["items",[{}]]})", R"({"items":"[{}]"})",
        R"({"\u0069tems":[{}]})", R"({"items2":[{}],"item":[{}]," items":[{}]})",
        R"({"kind":"Status","message":"items","code":410})"}) {
    const Outcome outcome = split({document});
    INFO(document);
    REQUIRE(outcome.result.ok());
    CHECK(outcome.items.empty());
    CHECK(outcome.envelope == document);
  }
}

TEST_CASE("Given lists that are framed wrongly, when split, then they are refused") {
  for (const char* wrong : {"",
                            " ",
                            "[]",
                            "null",
                            "\"{}\"",
                            "x",
                            "{}{}",
                            "{}x",
                            "{]",
                            "{\"a\":[}",
                            "{\"a\":{]}",
                            "{\"items\":[1]}",
                            "{\"items\":[null]}",
                            "{\"items\":[\"a\"]}",
                            "{\"items\":[[]]}",
                            "{\"items\":[{},]}",
                            "{\"items\":[,{}]}",
                            "{\"items\":[{},,{}]}",
                            "{\"items\":[{}{}]}",
                            "{\"items\":[{} {}]}",
                            "{\"items\":[{]]}",
                            "{\"items\":[{\"a\":[}]}]}",
                            "{\"items\":[{}}",
                            "{\"items\":[}",
                            "{\"items\":[{}]",
                            "{\"items\":[{}]]}",
                            "{\"items\":[{\"a\":\"]}"}) {
    const Outcome outcome = split({wrong});
    INFO(wrong);
    REQUIRE_FALSE(outcome.result.ok());
    CHECK(outcome.result.error().code == ErrorCode::Protocol);
  }
}

TEST_CASE("Given nesting, when an item or the envelope has 128 levels, then it is taken, and one more is refused") {
  const auto nested = [](std::size_t levels) {
    return std::string(R"({"a":)") + std::string(levels - 1, '[') + std::string(levels - 1, ']') + "}";
  };
  CHECK(split({R"({"items":[)" + nested(128) + "]}"}).result.ok());
  CHECK_FALSE(split({R"({"items":[)" + nested(129) + "]}"}).result.ok());
  CHECK(split({nested(128)}).result.ok());
  CHECK_FALSE(split({nested(129)}).result.ok());
  CHECK_FALSE(split({R"({"items":[{"a":)" + std::string(1'000'000, '[')}).result.ok());
}

TEST_CASE(
    "Given a limit, when an item or the envelope has just as many bytes, then it is taken, and one more is refused") {
  const std::string item = R"({"a":"0123456789012345678"})";
  const std::string envelope = R"({"metadata":{},"items":[]})";
  REQUIRE(envelope.size() < item.size());
  const std::string list = R"({"metadata":{},"items":[)" + item + "]}";
  for (const std::size_t cut : {std::size_t{0}, list.size() - 10}) {
    const std::vector<std::string> pieces = {list.substr(0, cut), list.substr(cut)};
    CHECK(split(pieces, item.size()).result.ok());
    const Outcome refused = split(pieces, item.size() - 1);
    REQUIRE_FALSE(refused.result.ok());
    CHECK(refused.result.error().code == ErrorCode::Protocol);
    CHECK_THAT(refused.result.error().message, Catch::Contains(std::to_string(item.size() - 1)));
  }
  CHECK(split({envelope}, envelope.size()).result.ok());
  CHECK_FALSE(split({envelope}, envelope.size() - 1).result.ok());
  CHECK_FALSE(split({R"({"a":")", std::string(100, 'x')}, 50).result.ok());
}

TEST_CASE("Given a reader that refuses an item, when fed on, then its error is passed on and nothing more is read") {
  int seen = 0;
  ItemSplitter splitter([&](std::string_view) -> Result<void> {
    if (++seen == 2) return Error{ErrorCode::Invalid, "no more", 422};
    return {};
  });
  const auto fed = splitter.feed(R"({"items":[{},{},{}]})");
  REQUIRE_FALSE(fed.ok());
  CHECK(fed.error().code == ErrorCode::Invalid);
  CHECK(seen == 2);
  CHECK_FALSE(splitter.feed("{}").ok());
  CHECK_FALSE(splitter.finish().ok());
  CHECK(seen == 2);
}

TEST_CASE("Given random lists cut at random bytes, when split, then the items are those of a whole parser") {
  std::mt19937 random(7);
  const auto upTo = [&](int most) { return static_cast<int>(random() % static_cast<unsigned>(most + 1)); };
  std::function<nlohmann::json(int)> anything = [&](int depth) -> nlohmann::json {
    switch (upTo(depth > 0 ? 5 : 3)) {
      case 0:
        return upTo(1000) - 500;
      case 1:
        return std::string("\"\\]}[{,:\n\x01 items\xc3\xa9").substr(static_cast<std::size_t>(upTo(10)));
      case 2:
        return nullptr;
      case 3:
        return upTo(1) == 1;
      case 4: {
        auto array = nlohmann::json::array();
        for (int i = upTo(3); i > 0; --i) array.push_back(anything(depth - 1));
        return array;
      }
      default: {
        auto object = nlohmann::json::object();
        for (int i = upTo(3); i > 0; --i)
          object[std::string("k\"\\").substr(0, 1 + random() % 3) + std::to_string(i)] = anything(depth - 1);
        return object;
      }
    }
  };
  for (int round = 0; round < 300; ++round) {
    nlohmann::json list = {{"metadata", anything(3)}, {"kind", "List"}, {"items", nlohmann::json::array()}};
    for (int i = upTo(5); i > 0; --i) list["items"].push_back({{"x", anything(4)}});
    const std::string text = list.dump(upTo(3) - 1);
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t length = 1 + random() % 20;
      pieces.push_back(text.substr(at, length));
      at += length;
    }
    const Outcome outcome = split(pieces);
    INFO(text);
    REQUIRE(outcome.result.ok());
    REQUIRE(outcome.items.size() == list["items"].size());
    for (std::size_t i = 0; i < outcome.items.size(); ++i) {
      REQUIRE(nlohmann::json::parse(outcome.items[i]) == list["items"][i]);
    }
    list["items"].clear();
    REQUIRE(nlohmann::json::parse(outcome.envelope) == list);
  }
}

}  // namespace
}  // namespace rollback::json

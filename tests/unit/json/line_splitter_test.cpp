#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "json/splitter.h"

namespace rollback::json {
namespace {

using Lines = std::vector<std::string>;

// Feeds all pieces and expects that none is refused.
Lines linesOf(const std::vector<std::string>& pieces) {
  Lines out;
  LineSplitter splitter([&](std::string_view line) {
    out.emplace_back(line);
    return true;
  });
  for (const std::string& each : pieces) {
    const auto fed = splitter.feed(each);
    REQUIRE(fed.ok());
    REQUIRE(*fed);
  }
  return out;
}

TEST_CASE("Given lines in one piece, when split, then each comes without its end and empty ones do not come") {
  CHECK(linesOf({"{\"a\":1}\n\n\n{\"b\":2}\n"}) == Lines{"{\"a\":1}", "{\"b\":2}"});
  CHECK(linesOf({}).empty());
  CHECK(linesOf({"", "\n", ""}).empty());
}

TEST_CASE("Given lines, when the stream is cut at any byte, then the lines are the same") {
  const std::string stream = "first\nsecond, longer\n\nthird\n";
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    INFO("cut at byte " << cut);
    CHECK(linesOf({stream.substr(0, cut), stream.substr(cut)}) == Lines{"first", "second, longer", "third"});
  }
  Lines bytes;
  for (const char each : stream) bytes.emplace_back(1, each);
  CHECK(linesOf(bytes) == Lines{"first", "second, longer", "third"});
}

TEST_CASE("Given a line whose end has not arrived, when nothing more comes, then it is not handed over") {
  CHECK(linesOf({"whole\nhalf of an ev"}) == Lines{"whole"});
}

TEST_CASE("Given a reader that says stop, when lines follow in the same piece, then it does not see them") {
  for (const std::vector<std::string>& pieces :
       {std::vector<std::string>{"one\ntwo\nthree\n"}, std::vector<std::string>{"one\ntw", "o\nthree\n"}}) {
    Lines seen;
    LineSplitter splitter([&](std::string_view line) {
      seen.emplace_back(line);
      return line != "two";
    });
    bool more = true;
    for (const std::string& each : pieces) {
      const auto fed = splitter.feed(each);
      REQUIRE(fed.ok());
      more = *fed;
    }
    CHECK_FALSE(more);
    CHECK(seen == Lines{"one", "two"});
  }
}

TEST_CASE("Given a limit, when a line has as many bytes, then it is taken, and one more is refused however it is cut") {
  const auto fits = [](const std::vector<std::string>& pieces) {
    LineSplitter splitter([](std::string_view) { return true; }, 5);
    for (const std::string& each : pieces) {
      const auto fed = splitter.feed(each);
      if (!fed) {
        CHECK(fed.error().code == ErrorCode::Protocol);
        return false;
      }
    }
    return true;
  };
  CHECK(fits({"12345\n12345\n"}));
  CHECK(fits({"123", "45", "\n", "12345"}));
  CHECK_FALSE(fits({"123456\n"}));
  CHECK_FALSE(fits({"12345", "6"}));
  CHECK_FALSE(fits({"ok\n123456"}));
}

}  // namespace
}  // namespace rollback::json

#include "runtime/logging.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

using namespace rollback;
using namespace rollback::runtime;

namespace {

// Logging as the test wants it; the default again at its end.
struct Logged {
  explicit Logged(const std::string& format, const std::string& level = "debug") {
    REQUIRE(setUpLogging({format, level, [this](std::string_view line) { lines.emplace_back(line); }}).ok());
  }
  ~Logged() { static_cast<void>(setUpLogging({})); }
  std::vector<std::string> lines;
};

}  // namespace

TEST_CASE("given an unknown format or level, when logging is set up, then the error names what may be given") {
  const auto format = setUpLogging({"xml", "info", {}});
  REQUIRE_FALSE(format.ok());
  CHECK(format.error().code == ErrorCode::BadInput);
  CHECK(format.error().message.find("xml") != std::string::npos);
  CHECK(format.error().message.find("json") != std::string::npos);
  const auto level = setUpLogging({"text", "loud", {}});
  REQUIRE_FALSE(level.ok());
  CHECK(level.error().message.find("debug") != std::string::npos);
}

TEST_CASE(
    "given text, when a line is logged, then it starts with UTC time and level, and values that could mislead are "
    "quoted") {
  Logged logged("text");
  log(Level::Warn, "backup verified",
      {{"name", "shop"}, {"bytes", 1234}, {"why", "a \"b\"\nlevel=info"}, {"none", ""}});
  REQUIRE(logged.lines.size() == 1);
  const std::string& line = logged.lines[0];
  INFO(line);
  CHECK(line.size() > 31);
  CHECK(line[10] == 'T');
  CHECK(line.substr(23, 8) == "Z WARN  ");
  CHECK(line.substr(31) == R"(backup verified name=shop bytes=1234 why="a \"b\"\nlevel=info" none="")");
}

TEST_CASE(
    "given JSON, when values hold quotes, newlines, broken UTF-8 and terminal codes, then the line is one JSON "
    "object") {
  Logged logged("json");
  const std::string evil = "\"},{\"level\":\"error\n\x1b[31m\xff\xc2\x9b";
  log(Level::Info, evil, {{"key", evil}, {"count", 3}, {"yes", true}, {"took", Millis(7)}});
  REQUIRE(logged.lines.size() == 1);
  const std::string& line = logged.lines[0];
  INFO(line);
  for (const char c : line) CHECK(static_cast<unsigned char>(c) >= 0x20);
  const auto parsed = nlohmann::json::parse(line);
  CHECK(parsed["level"] == "info");
  CHECK(parsed["count"] == 3);
  CHECK(parsed["yes"] == true);
  CHECK(parsed["took"] == "7ms");
  CHECK(parsed["msg"].get<std::string>().find("\"},{\"level\":\"error\n") == 0);
}

TEST_CASE("given text, when message and values hold terminal codes of any kind, then the line is printable ASCII") {
  Logged logged("text");
  log(Level::Info, "one\x1b[2J\xc2\x9b", {{"key", "two\x7f\xc2\x9b\xff\r"}});
  REQUIRE(logged.lines.size() == 1);
  INFO(logged.lines[0]);
  for (const char c : logged.lines[0]) CHECK((c >= ' ' && c < 0x7f));
}

TEST_CASE("given level info, when debug is logged, then nothing is written") {
  Logged logged("text", "info");
  log(Level::Debug, "quiet");
  CHECK(logged.lines.empty());
  CHECK_FALSE(logEnabled(Level::Debug));
  log(Level::Info, "said");
  CHECK(logged.lines.size() == 1);
}

TEST_CASE("given a scope, when lines are logged in it, then they carry its fields, and no longer after it") {
  Logged logged("json");
  {
    const LogScope scope({{"controller", "backup"}, {"name", "outer"}});
    log(Level::Info, "in", {{"name", "inner"}});
  }
  log(Level::Info, "out", {{"error", Error{ErrorCode::NotFound, "no such thing"}}});
  REQUIRE(logged.lines.size() == 2);
  const auto in = nlohmann::json::parse(logged.lines[0]);
  CHECK(in["controller"] == "backup");
  CHECK(in["name"] == "inner");
  const auto out = nlohmann::json::parse(logged.lines[1]);
  CHECK_FALSE(out.contains("controller"));
  CHECK(out["error"] == "NotFound: no such thing");
}

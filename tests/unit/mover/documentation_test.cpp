// docs/mover.md against the code: the sets of codes and of task fields are the same. Lexical on purpose: whoever adds a
// code or a field writes a string, and this test finds it.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

namespace {

using Words = std::set<std::string>;

const std::filesystem::path kSource = FROLLBACK_SOURCE_DIR;

std::string contentOf(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

Words matches(const std::string& text, const std::string& expression) {
  Words out;
  const std::regex wanted(expression);
  for (std::sregex_iterator at(text.begin(), text.end(), wanted), end; at != end; ++at) out.insert((*at)[1]);
  return out;
}

std::string section(const std::string& text, const std::string& title) {
  const auto from = text.find("\n## " + title + "\n");
  REQUIRE(from != std::string::npos);
  return text.substr(from, text.find("\n## ", from + 1) - from);
}

Words minus(const Words& a, const Words& b) {
  Words out;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::inserter(out, out.end()));
  return out;
}

}  // namespace

TEST_CASE("the codes of docs/mover.md are those of the code") {
  Words inCode;
  for (const char* folder : {"operator/mover/core/src", "operator/mover/main/edge/src"})
    for (const auto& file : std::filesystem::directory_iterator(kSource / folder)) {
      const std::string text = contentOf(file.path());
      // A word of several parts is a code wherever it stands; a single word only as the reason of an error.
      inCode.merge(matches(text, "\"((?:[A-Z][a-z]+){2,})\""));
      inCode.merge(matches(text, "problem\\(\\s*ErrorCode::\\w+,\\s*\"([A-Z][a-z]+)\""));
    }
  inCode.insert("Subscription");  // {"Subscription", …} of an obstacle
  inCode.erase("PreUpgrade");     // a reason to take a backup
  const std::string codes = section(contentOf(kSource / "docs/mover.md"), "Codes");
  const Words inDoc = matches(codes.substr(0, codes.find("An error with no code of its own")), "`([A-Z][A-Za-z]+)`");
  REQUIRE(inCode.count("BackupDamaged"));
  REQUIRE(minus(inCode, inDoc) == Words{});
  REQUIRE(minus(inDoc, inCode) == Words{});
}

TEST_CASE("the task fields of docs/mover.md are those of the code") {
  const Words read = matches(contentOf(kSource / "operator/mover/core/src/task.cpp"),
                             "\\.(?:text|texts|integer|flag|object|objects|find)\\(\"(\\w+)\"");
  const std::string task = section(contentOf(kSource / "docs/mover.md"), "Task");
  const auto begin = task.find("```json"), end = task.find("```", begin + 3);
  const Words shown = matches(task.substr(begin, end - begin), "\"(\\w+)\":");
  REQUIRE(read.count("deadlineSeconds"));
  REQUIRE(minus(read, shown) == Words{});
  REQUIRE(minus(shown, read) == Words{});
}

// check-audit: reads an audit log of the API server (tests/cluster/audit-policy.yaml) and says which rules it breaks.
//
//   check-audit [--operator-user NAME] [--secret TEXT]... [--namespace NS] AUDIT.LOG...
//
// Ends with 0 if none is broken, 1 if one is, 2 if there was nothing to judge or the log cannot be read.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>

#include "checker.h"

namespace {

using namespace rollback::rules;

// The order in which the server executed the writes: every accepted one has the revision it made.
unsigned long long revisionOf(const Record& record) {
  if (takenAway(record.response)) return 0;  // the answer is the object as it was, with its old revision
  const std::string text = textAt(record.response, {"metadata", "resourceVersion"});
  return text.empty() ? 0 : std::strtoull(text.c_str(), nullptr, 10);
}

struct Line {
  std::unique_ptr<json> document;
  Record record;
  unsigned long long revision = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::vector<std::string> files;
  std::string only;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&]() -> std::string { return i + 1 < argc ? argv[++i] : ""; };
    if (word == "--operator-user")
      options.operatorUser = value();
    else if (word == "--secret")
      options.secrets.push_back(value());
    else if (word == "--namespace")
      only = value();
    else if (word == "--help" || word == "-h" || (!word.empty() && word[0] == '-')) {
      std::fputs("usage: check-audit [--operator-user NAME] [--secret TEXT]... [--namespace NS] AUDIT.LOG...\n",
                 stderr);
      return 2;
    } else
      files.push_back(word);
  }
  if (files.empty()) {
    std::fputs("check-audit: name an audit log\n", stderr);
    return 2;
  }
  std::vector<Line> lines;
  std::size_t unreadable = 0;
  for (const auto& name : files) {
    std::ifstream file(name);
    if (!file) {
      std::fprintf(stderr, "check-audit: %s cannot be read\n", name.c_str());
      return 2;
    }
    for (std::string text; std::getline(file, text);) {
      Line line;
      line.document = std::make_unique<json>(json::parse(text, nullptr, false));
      if (line.document->is_discarded()) {  // the last line of a server that was killed
        ++unreadable;
        continue;
      }
      auto record = recordOf(*line.document);
      if (!record || (!only.empty() && record->namespace_ != only)) continue;
      line.record = *record;
      line.revision = revisionOf(line.record);
      lines.push_back(std::move(line));
    }
  }
  // A write without a revision (a delete, a kind whose bodies are not recorded) stays where it was said.
  unsigned long long last = 0;
  for (auto& line : lines) {
    if (line.revision == 0) line.revision = last;
    last = std::max(last, line.revision);
  }
  std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return a.revision < b.revision; });
  Checker checker(options);
  std::size_t ours = 0;
  for (const auto& line : lines) {
    checker.see(line.record);
    if (checker.byOperator(line.record)) ++ours;
  }
  checker.finish();
  for (const auto& violation : checker.violations())
    std::printf("%-4s %s\n", violation.rule.c_str(), violation.text.c_str());
  std::printf("check-audit: %zu writes, %zu by the operator, %zu rollbacks, %zu unreadable lines: %zu violations\n",
              lines.size(), ours, checker.state().rollbacks.size(), unreadable, checker.violations().size());
  if (lines.empty()) return 2;
  return checker.violations().empty() ? 0 : 1;
}

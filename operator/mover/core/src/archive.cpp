#include "mover/archive.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <set>

#include "mover/outcome.h"

namespace rollback::mover {
namespace {

constexpr std::size_t kListingLimit = 256u << 20;

Error unreadable(const std::string& what, const ProgramExit& exit) {
  return problem(ErrorCode::BadInput, "BackupDamaged",
                 what + " failed with status " + std::to_string(exit.status) + ": " + errorLine(exit.errors));
}

// The whole output of a program; fails unless it ends with 0.
Result<std::string> outputOf(Environment& env, const Command& command, const std::string& what, Deadline deadline) {
  std::string out;
  auto exit = env.process.run(
      command,
      [&](std::string_view piece) {
        out += piece;
        return out.size() <= kListingLimit;
      },
      deadline);
  if (!exit) return exit.error();
  if (exit->status != 0) return unreadable(what, *exit);
  return out;
}

// 'it''s' at `at`; moves past it. False if there is no literal.
bool takeLiteral(const std::string& text, std::size_t& at, std::string& out) {
  if (at >= text.size() || text[at] != '\'') return false;
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\'') {
      if (at + 1 >= text.size() || text[at + 1] != '\'') {
        ++at;
        return true;
      }
      ++at;
    }
    out += text[at];
  }
  return false;
}

}  // namespace

std::string errorLine(const std::string& errors) {
  std::string last;
  for (std::size_t at = 0; at < errors.size();) {
    const std::size_t end = std::min(errors.find('\n', at), errors.size());
    std::string line = errors.substr(at, std::min<std::size_t>(end - at, 400));
    at = end + 1;
    if (line.find("error:") != std::string::npos || line.find("fatal:") != std::string::npos) return line;
    if (line.find_first_not_of(" \t\r") != std::string::npos) last = std::move(line);
  }
  return last;
}

bool TocEntry::is(const char* kind) const {
  const std::string prefix = std::string(kind) + " ";
  return tail.compare(0, prefix.size(), prefix) == 0;
}

std::vector<TocEntry> parseToc(const std::string& listing) {
  std::vector<TocEntry> out;
  for (std::size_t at = 0; at < listing.size();) {
    const std::size_t end = std::min(listing.find('\n', at), listing.size());
    TocEntry entry;
    entry.line = listing.substr(at, end - at);
    at = end + 1;
    // "215; 1259 16389 TABLE public orders shop"; a line that begins with ';' is a comment.
    const std::size_t semicolon = entry.line.find(';');
    if (entry.line.empty() || semicolon == 0 || semicolon == std::string::npos) continue;
    std::size_t tail = semicolon;
    for (int words = 0; words < 3 && tail != std::string::npos; ++words) tail = entry.line.find(' ', tail + 1);
    if (tail == std::string::npos) continue;
    entry.tail = entry.line.substr(tail + 1);
    out.push_back(std::move(entry));
  }
  return out;
}

bool isLeftOut(const TocEntry& entry) {
  return entry.is("EXTENSION") || entry.is("COMMENT - EXTENSION") || entry.is("SUBSCRIPTION") ||
         entry.is("COMMENT - SUBSCRIPTION");
}

bool isSchemaEntry(const TocEntry& entry) { return entry.is("SCHEMA") || entry.is("ACL - SCHEMA"); }

bool needsSuperuser(const TocEntry& entry) {
  static constexpr std::array<const char*, 6> kKinds = {"EVENT TRIGGER",   "FOREIGN DATA WRAPPER", "OPERATOR CLASS",
                                                        "OPERATOR FAMILY", "ACCESS METHOD",        "TRANSFORM"};
  return std::any_of(kKinds.begin(), kKinds.end(), [&](const char* kind) { return entry.is(kind); });
}

std::vector<SequenceRecord> parseSequenceScript(const std::string& script) {
  static const std::string call = "SELECT pg_catalog.setval(";
  std::vector<SequenceRecord> out;
  for (std::size_t at = script.find(call); at != std::string::npos; at = script.find(call, at)) {
    const bool lineStart = at == 0 || script[at - 1] == '\n';
    at += call.size();
    SequenceRecord record;
    if (!lineStart || !takeLiteral(script, at, record.name) || script.compare(at, 2, ", ") != 0) continue;
    char* end = nullptr;
    record.lastValue = std::strtoll(script.c_str() + at + 2, &end, 10);
    at = static_cast<std::size_t>(end - script.c_str());
    record.isCalled = script.compare(at, 6, ", true") == 0;
    out.push_back(std::move(record));
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

Result<std::vector<TocEntry>> readToc(Environment& env, const std::string& archivePath, Deadline deadline) {
  auto listing = outputOf(env, Command{{"pg_restore", "--list", env.repository.absolute(archivePath)}},
                          "pg_restore --list " + archivePath, deadline);
  if (!listing) return listing.error();
  auto toc = parseToc(*listing);
  if (toc.empty())
    return problem(ErrorCode::BadInput, "BackupDamaged", "the table of contents of " + archivePath + " is empty");
  return toc;
}

Result<std::vector<SequenceRecord>> readSequences(Environment& env, const std::string& archivePath, Deadline deadline) {
  auto toc = readToc(env, archivePath, deadline);
  if (!toc) return toc.error();
  std::string list;
  for (const auto& entry : *toc)
    if (entry.is("SEQUENCE SET")) list += entry.line + "\n";
  if (list.empty()) return std::vector<SequenceRecord>{};
  if (auto ok = env.scratch.write("sequences.list", list); !ok) return ok.error();
  auto script = outputOf(env,
                         Command{{"pg_restore", "--file=-", "--use-list=" + env.scratch.absolute("sequences.list"),
                                  env.repository.absolute(archivePath)}},
                         "reading the sequences of " + archivePath, deadline);
  if (!script) return script.error();
  return parseSequenceScript(*script);
}

void DataCounter::take(std::string_view piece) {
  constexpr std::size_t kKept = 64 * 1024;  // of a line outside COPY: its table's name is at the beginning
  while (!piece.empty()) {
    const std::size_t end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    const std::size_t room = inCopy_ ? 3 : kKept;
    if (line_.size() < room) line_.append(part.substr(0, room - line_.size()));
    length_ += part.size();
    if (end == std::string_view::npos) return;
    endLine();
    piece.remove_prefix(end + 1);
  }
}

void DataCounter::endLine() {
  if (inCopy_) {
    if (length_ == 2 && line_ == "\\.")
      inCopy_ = false;
    else
      ++*count_;
  } else if (line_.compare(0, 5, "COPY ") == 0) {
    bool quoted = false;
    std::size_t at = 5;
    for (; at < line_.size() && (quoted || line_[at] != ' '); ++at)
      if (line_[at] == '"') quoted = !quoted;
    inCopy_ = true;
    count_ = &rows_[line_.substr(5, at - 5)];
  } else if (line_.compare(0, 26, "SELECT pg_catalog.lo_open(") == 0) {
    ++largeObjects_;
  }
  line_.clear();
  length_ = 0;
}

std::string countsProblem(const DataCounter& counted, const StoreRecord& recorded) {
  std::set<std::string> named;
  std::int64_t absent = 0, elsewhere = 0;
  std::string firstAbsent;
  for (const auto& table : recorded.tables) {
    named.insert(table.name);
    const auto found = counted.rows().find(table.name);
    if (found != counted.rows().end() && found->second != table.rows)
      return "table " + table.name + " has " + std::to_string(found->second) + " rows, the manifest says " +
             std::to_string(table.rows);
    if (found != counted.rows().end() || table.rows == 0) continue;
    if (firstAbsent.empty()) firstAbsent = table.name;
    absent += table.rows;
  }
  // pg_dump writes some partitions through their root, under its name.
  for (const auto& [table, rows] : counted.rows())
    if (!named.count(table)) elsewhere += rows;
  if (absent > elsewhere)
    return "table " + firstAbsent + " has no data in it, the manifest says " + std::to_string(absent) + " rows";
  if (counted.largeObjects() != recorded.largeObjects)
    return "it holds " + std::to_string(counted.largeObjects()) + " large objects, the manifest says " +
           std::to_string(recorded.largeObjects);
  return {};
}

Result<void> readFully(Environment& env, const std::string& archivePath, const StoreRecord& recorded,
                       Deadline deadline) {
  std::uint64_t bytes = 0;
  DataCounter counter;
  // In two parts: a function's body may hold lines that look like data, and there are none among the data.
  for (const char* part : {"--schema-only", "--data-only"}) {
    const bool data = std::string_view(part) == "--data-only";
    auto exit = env.process.run(
        Command{{"pg_restore", part, "--file=-", env.repository.absolute(archivePath)}},
        [&](std::string_view piece) {
          bytes += piece.size();
          if (data) counter.take(piece);
          env.progress.report(bytes, 0, "bytes", "reading " + archivePath);
          return true;
        },
        deadline);
    if (!exit) return exit.error();
    if (exit->status != 0) return unreadable("reading every entry of " + archivePath, *exit);
  }
  if (const std::string why = countsProblem(counter, recorded); !why.empty())
    return problem(ErrorCode::BadInput, "BackupDamaged", archivePath + " is not what was dumped: " + why);
  return {};
}

Result<std::string> toolVersion(Environment& env, const std::string& tool, Deadline deadline) {
  auto text = outputOf(env, Command{{tool, "--version"}}, tool + " --version", deadline);
  if (!text) {
    if (text.error().code == ErrorCode::NotFound)
      return problem(ErrorCode::NotFound, "ToolMissing",
                     tool +
                         " is not in this image, neither on PATH nor below /usr/lib/postgresql; name the database's "
                         "own image in the store's tools");
    return text.error();
  }
  // "pg_dump (PostgreSQL) 15.18 (Debian …)": the first word that begins with a digit.
  for (std::size_t at = 0; at < text->size(); ++at)
    if (std::isdigit(static_cast<unsigned char>((*text)[at])) && at > 0 && (*text)[at - 1] == ' ')
      return text->substr(at, text->find_first_of(" \n", at) - at);
  return problem(ErrorCode::Protocol, "ToolMissing",
                 tool + " --version answers \"" + text->substr(0, 80) + "\", which holds no version");
}

int majorOf(const std::string& version) { return std::atoi(version.c_str()); }

}  // namespace rollback::mover

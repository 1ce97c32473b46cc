// A pg_dump directory archive, read through the user's own pg_restore.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mover/environment.h"
#include "mover/manifest.h"

namespace rollback::mover {

// The line of a tool's standard error that says what happened. Not more: the lines after it hold statements and rows of
// the user's.
std::string errorLine(const std::string& errors);

// One line of `pg_restore --list`.
struct TocEntry {
  std::string line;                 // as printed; a list file is made of these
  std::string tail;                 // what follows the two catalog numbers: "TABLE public orders shop"
  bool is(const char* kind) const;  // the tail begins with this kind and a space
};

std::vector<TocEntry> parseToc(const std::string& listing);
// Entries that no restore runs: extensions, their comments (created by whoever may), subscriptions.
bool isLeftOut(const TocEntry& entry);
// Schemas and their privileges: restored first, because an object can be handed to an owner only where that owner may
// create.
bool isSchemaEntry(const TocEntry& entry);
// Kinds that only a superuser can restore (event triggers, foreign-data wrappers, …).
bool needsSuperuser(const TocEntry& entry);

// setval lines of a script that pg_restore wrote.
std::vector<SequenceRecord> parseSequenceScript(const std::string& script);

Result<std::vector<TocEntry>> readToc(Environment& env, const std::string& archivePath, Deadline deadline);
// The values of the archive itself: sequences ignore the snapshot, so the database's own are not those that come back.
Result<std::vector<SequenceRecord>> readSequences(Environment& env, const std::string& archivePath, Deadline deadline);
// Reads every entry to its end and counts what comes out (BackupDamaged): a table of contents alone passes on a cut
// file, and an entry whose file was emptied reads like an empty table.
Result<void> readFully(Environment& env, const std::string& archivePath, const StoreRecord& recorded,
                       Deadline deadline);
// Counts rows and large objects in what `pg_restore --data-only` prints, piece by piece.
class DataCounter {
 public:
  void take(std::string_view piece);
  const std::map<std::string, std::int64_t>& rows() const { return rows_; }  // by table, quoted as the server would
  std::int64_t largeObjects() const { return largeObjects_; }

 private:
  void endLine();
  bool inCopy_ = false;
  std::string line_;        // as much of it as can matter
  std::size_t length_ = 0;  // of the line so far
  std::int64_t* count_ = nullptr;
  std::map<std::string, std::int64_t> rows_;
  std::int64_t largeObjects_ = 0;
};
// What the counts contradict in the record; empty if nothing.
std::string countsProblem(const DataCounter& counted, const StoreRecord& recorded);
// "15.18" of `tool --version`. NotFound (ToolMissing).
Result<std::string> toolVersion(Environment& env, const std::string& tool, Deadline deadline);
int majorOf(const std::string& version);  // 15 of "15.18"

}  // namespace rollback::mover

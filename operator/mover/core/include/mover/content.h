// What a database holds, as the backup records it and the staged copy is compared: rows, sequences, large objects,
// owners, structure, the schema level. All functions need a session on that database; those that must agree with each
// other are called in one REPEATABLE READ transaction.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "mover/environment.h"
#include "mover/manifest.h"

namespace rollback::mover {

struct UserTable {
  Oid oid = 0;
  std::string name;     // quoted where needed: public."Orders"
  std::string columns;  // quoted, sorted by name
  bool partitioned = false, readable = false;
};

// Ordinary and partitioned tables of the application: not the system's, not an extension's, not temporary.
Result<std::vector<UserTable>> userTables(Session& session, Deadline deadline);
// Number of rows and a hash that does not depend on their order or that of the columns: the sum of hashtextextended
// over each row's text, sorted by column name.
Result<std::vector<TableRecord>> countAndHash(Environment& env, Session& session, const std::vector<UserTable>& tables,
                                              Deadline deadline);
Result<std::vector<SequenceRecord>> sequences(Session& session, Deadline deadline);
// Of sequences that belong to a column: those below the column's largest value.
Result<std::vector<std::string>> sequencesBehind(Session& session, const std::vector<SequenceRecord>& values,
                                                 Deadline deadline);
struct LargeObjects {
  std::int64_t count = 0;
  std::string hash;
};
Result<LargeObjects> largeObjects(Session& session, Deadline deadline);

// One line per column, constraint, index, type and sequence definition; sorted. Expressions are normalised
// (normalise.h).
Result<std::vector<std::string>> structureLines(Session& session, Deadline deadline);
// One line per owner, privilege, default privilege, row security setting and policy; sorted. A privilege list that was
// never changed reads like the one that spells out the defaults.
Result<std::vector<std::string>> ownerLines(Session& session, Deadline deadline);
Result<std::vector<RoleRecord>> rolesUsed(Session& session, Deadline deadline);
std::string linesDigest(const std::vector<std::string>& lines);  // "sha256:…", each line followed by a newline

// The schema level: the sorted rows of the class's query. No rows, an error and row security in the way are Unknown
// with a reason. Fails only if the session is lost. Leaves no transaction open; must be called outside one.
Result<SchemaLevel> schemaLevel(Session& session, const std::string& query, Deadline deadline);
// The same inside the caller's transaction (the backup's snapshot).
Result<SchemaLevel> schemaLevelInTransaction(Session& session, const std::string& query, Deadline deadline);
Result<std::vector<CheckRecord>> answerChecks(Session& session, const std::vector<CheckQuery>& checks,
                                              Deadline deadline);
// As answerChecks, one transaction for each.
Result<std::vector<CheckRecord>> answerChecksAlone(Session& session, const std::vector<CheckQuery>& checks,
                                                   Deadline deadline);

Result<std::vector<ExtensionRecord>> extensions(Session& session, Deadline deadline);
std::string schemaDigest(const std::vector<std::string>& sortedNames);

}  // namespace rollback::mover

#include "mover/content.h"

#include <algorithm>
#include <map>
#include <set>

#include "mover/digest.h"
#include "mover/outcome.h"
#include "mover/quoting.h"

namespace rollback::mover {
namespace {

constexpr int kMostRows = 200'000;  // of a class's query: a schema set is a list of migrations

std::string joined(const Row& row) {
  std::string out;
  for (std::size_t i = 0; i < row.size(); ++i) out += (i ? "\t" : "") + text(row, i);
  return out;
}

// A user's query through a cursor of plpgsql: one that holds more than one statement, or anything but a query, cannot
// be opened, and psql never reads it, so neither a backslash command nor ":name" in it means anything.
Result<Rows> askInTransaction(Session& session, const std::string& query, bool appSeesRows, Deadline deadline) {
  const char* savepoint = "savepoint frb_question";
  if (auto ok = session.query(savepoint, deadline); !ok) return ok.error();
  const std::string body =
      "declare c refcursor := 'frb_answer'; begin open c no scroll for execute " + literal(query) + "; end";
  Result<Rows> answer =
      session.query(std::string("select set_config('search_path', setting, true), set_config('row_security', ") +
                        (appSeesRows ? "'on'" : "'off'") +
                        ", true) from (select reset_val as setting from pg_settings where name = 'search_path') s",
                    deadline);
  if (answer) answer = session.query("do " + literal(body), deadline);
  if (answer) answer = session.query("fetch " + std::to_string(kMostRows + 1) + " from frb_answer", deadline);
  if (!answer && connectionLost(answer.error())) return answer.error();
  // Undoes the cursor and both settings, and clears an error.
  if (auto ok = session.query("rollback to savepoint frb_question", deadline); !ok) return ok.error();
  if (answer && answer->size() > kMostRows)
    return problem(ErrorCode::BadInput, "TooManyRows",
                   "the query answers more than " + std::to_string(kMostRows) + " rows");
  return answer;
}

Result<SchemaLevel> schemaOf(Result<Rows> rows) {
  SchemaLevel level;
  if (!rows) {
    if (connectionLost(rows.error())) return rows.error();
    level.unknownReason = "the schema query failed: " + rows.error().message;
    return level;
  }
  for (const auto& row : *rows) level.names.push_back(joined(row));
  std::sort(level.names.begin(), level.names.end());
  if (level.names.empty())
    level.unknownReason = "the schema query answered no rows";
  else
    level.digest = schemaDigest(level.names);
  return level;
}

CheckRecord checkOf(const CheckQuery& check, const Result<Rows>& rows) {
  CheckRecord record;
  record.name = check.name;
  if (!rows)
    record.error = rows.error().message;
  else if (rows->size() != 1 || rows->front().size() != 1 || !rows->front().front())
    record.error = "the query must answer one row with one value that is not NULL";
  else
    record.value = *rows->front().front();
  return record;
}

// Runs `ask` in a read-only transaction of its own.
template <typename T, typename Ask>
Result<T> alone(Session& session, Deadline deadline, Ask ask) {
  if (auto ok = session.query("begin isolation level repeatable read read only", deadline); !ok) return ok.error();
  Result<T> out = ask();
  if (!out && connectionLost(out.error())) return out.error();
  if (auto ok = session.query("rollback", deadline); !ok) return ok.error();
  return out;
}

}  // namespace

Result<std::vector<UserTable>> userTables(Session& session, Deadline deadline) {
  auto rows = session.query(R"(/* tables */
select c.oid, format('%I.%I', n.nspname, c.relname), c.relkind = 'p', has_table_privilege(c.oid, 'select'),
       (select string_agg(quote_ident(a.attname), ', ' order by a.attname collate "C") from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 2)",
                            deadline);
  if (!rows) return during("listing the tables", rows.error());
  std::vector<UserTable> out;
  for (const auto& row : *rows) {
    UserTable table;
    table.oid = static_cast<Oid>(number(row, 0));
    table.name = text(row, 1);
    table.partitioned = truth(row, 2);
    table.readable = truth(row, 3);
    table.columns = text(row, 4);
    out.push_back(std::move(table));
  }
  return out;
}

Result<std::vector<TableRecord>> countAndHash(Environment& env, Session& session, const std::vector<UserTable>& tables,
                                              Deadline deadline) {
  std::vector<TableRecord> out;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const auto& table = tables[i];
    if (table.partitioned) continue;  // its partitions are tables of their own
    env.progress.report(i, tables.size(), "tables", "counting " + table.name);
    auto rows = session.query("/* hash */ select count(*), coalesce(sum(hashtextextended(row(" + table.columns +
                                  ")::text, 0)::numeric), 0) from only " + table.name,
                              deadline);
    if (!rows) return during("counting and hashing the rows of " + table.name, rows.error());
    out.push_back({table.name, number(rows->at(0), 0), text(rows->at(0), 1)});
  }
  return out;
}

Result<std::vector<SequenceRecord>> sequences(Session& session, Deadline deadline) {
  auto names = session.query(R"(/* sequences */
select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'S' and c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 1)",
                             deadline);
  if (!names) return during("listing the sequences", names.error());
  std::vector<SequenceRecord> out;
  for (const auto& row : *names) {
    auto value = session.query("/* sequence */ select last_value, is_called from " + text(row, 0), deadline);
    if (!value) return during("reading sequence " + text(row, 0), value.error());
    SequenceRecord record;
    record.name = text(row, 0);
    record.lastValue = number(value->at(0), 0);
    record.isCalled = truth(value->at(0), 1);
    out.push_back(std::move(record));
  }
  return out;
}

Result<std::vector<std::string>> sequencesBehind(Session& session, const std::vector<SequenceRecord>& values,
                                                 Deadline deadline) {
  auto owned = session.query(R"(/* owned sequences */
select format('%I.%I', sn.nspname, s.relname), format('%I.%I', tn.nspname, t.relname), quote_ident(a.attname)
from pg_depend d join pg_class s on s.oid = d.objid and s.relkind = 'S' join pg_namespace sn on sn.oid = s.relnamespace
join pg_sequence q on q.seqrelid = s.oid and q.seqincrement > 0 and not q.seqcycle
join pg_class t on t.oid = d.refobjid join pg_namespace tn on tn.oid = t.relnamespace
join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i') and d.refobjsubid > 0
order by 1)",
                             deadline);
  if (!owned) return during("listing the columns of sequences", owned.error());
  std::map<std::string, std::int64_t> known;
  for (const auto& value : values) known[value.name] = value.lastValue;
  std::vector<std::string> out;
  for (const auto& row : *owned) {
    const auto value = known.find(text(row, 0));
    if (value == known.end()) continue;
    auto most = session.query("/* largest */ select max(" + text(row, 2) + ") from " + text(row, 1), deadline);
    if (!most) return during("reading the largest " + text(row, 2) + " of " + text(row, 1), most.error());
    if (most->at(0).at(0) && number(most->at(0), 0) > value->second) out.push_back(text(row, 0));
  }
  return out;
}

Result<LargeObjects> largeObjects(Session& session, Deadline deadline) {
  auto rows = session.query(
      "/* large objects */ select count(*), coalesce(sum(hashtextextended(oid::text || ':' || "
      "encode(sha256(lo_get(oid)), 'hex'), 0)::numeric), 0) "
      "from pg_largeobject_metadata",
      deadline);
  if (!rows) return during("hashing the large objects", rows.error());
  return LargeObjects{number(rows->at(0), 0), text(rows->at(0), 1)};
}

std::string linesDigest(const std::vector<std::string>& lines) {
  Sha256 sum;
  for (const auto& line : lines) {
    sum.update(line);
    sum.update("\n");
  }
  return "sha256:" + sum.hex();
}

std::string schemaDigest(const std::vector<std::string>& sortedNames) { return linesDigest(sortedNames); }

Result<SchemaLevel> schemaLevelInTransaction(Session& session, const std::string& query, Deadline deadline) {
  if (query.empty()) {
    SchemaLevel level;
    level.unknownReason = "the framework's class has no schema query";
    return level;
  }
  return schemaOf(askInTransaction(session, query, false, deadline));
}

Result<SchemaLevel> schemaLevel(Session& session, const std::string& query, Deadline deadline) {
  return alone<SchemaLevel>(session, deadline, [&] { return schemaLevelInTransaction(session, query, deadline); });
}

Result<std::vector<CheckRecord>> answerChecks(Session& session, const std::vector<CheckQuery>& checks,
                                              Deadline deadline) {
  std::vector<CheckRecord> out;
  for (const auto& check : checks) {
    auto rows = askInTransaction(session, check.query, true, deadline);
    if (!rows && connectionLost(rows.error())) return rows.error();
    out.push_back(checkOf(check, rows));
  }
  return out;
}

Result<std::vector<CheckRecord>> answerChecksAlone(Session& session, const std::vector<CheckQuery>& checks,
                                                   Deadline deadline) {
  return alone<std::vector<CheckRecord>>(session, deadline, [&] { return answerChecks(session, checks, deadline); });
}

Result<std::vector<ExtensionRecord>> extensions(Session& session, Deadline deadline) {
  auto rows = session.query(
      "/* extensions */ select e.extname, e.extversion, n.nspname from pg_extension e join pg_namespace n on n.oid = "
      "e.extnamespace "
      "order by 1",
      deadline);
  if (!rows) return during("listing the extensions", rows.error());
  std::vector<ExtensionRecord> out;
  for (const auto& row : *rows) out.push_back({text(row, 0), text(row, 1), text(row, 2)});
  return out;
}

}  // namespace rollback::mover

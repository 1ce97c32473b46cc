#include "mover/after_stage.h"

#include <algorithm>

#include "mover/content.h"
#include "mover/outcome.h"
#include "mover/quoting.h"

namespace rollback::mover {
namespace {

Error afterStageFailed(const std::string& what) {
  return problem(ErrorCode::Conflict, "AfterStageFailed", what + "; live was not touched");
}

std::string called(const NamedStatement& statement) { return "statement \"" + statement.name + "\" of afterStage"; }

// What the server says of a statement is the statement's failure; a session that is lost is not.
Error failedIn(const std::string& what, const Error& error) {
  if (sqlState(error).empty() || connectionLost(error)) return during(what, error);
  return afterStageFailed(what + " failed on the staged copy: " + error.message);
}

// The statement as text within plpgsql, so psql never reads it: no backslash command, no ":name", no end of it by a
// semicolon. EXECUTE refuses whatever begins or ends a transaction, and VACUUM and its like refuse to run in one.
//
// EXECUTE would run several statements, and tell the rows of the last: a cursor is not opened for them. That a cursor
// is not opened for one statement that answers no rows either has the same SQLSTATE and other words, and the words are
// of the server's language: so they are compared with those about two statements.
std::string block(const std::string& statement) {
  const std::string body = "declare one constant text := " + literal(statement) + R"(;
  several text; c refcursor; touched bigint;
begin
  begin
    open c for execute 'select; select';
  exception when invalid_cursor_definition then several := sqlerrm;
  end;
  begin
    open c for execute one;
    close c;
  exception when invalid_cursor_definition then
    if sqlerrm = several then raise exception 'it is not exactly one statement'; end if;
  end;
  execute one;
  get diagnostics touched = row_count;
  perform pg_catalog.set_config('frb.rows', touched::pg_catalog.text, true);
end)";
  return "do " + literal(body);
}

// The settings a session of the application begins with, where ours pins others. Row security needs none: of a table
// that hides rows from the application there is no equal copy.
constexpr char kBegin[] =
    "/* after stage */ select pg_catalog.txid_current(), (select count(pg_catalog.set_config(name, reset_val, true)) "
    "from pg_catalog.pg_settings where name in ('search_path', 'TimeZone', 'DateStyle', 'IntervalStyle', "
    "'extra_float_digits', 'bytea_output', 'lc_monetary'))";
constexpr char kTouched[] =
    "/* after stage */ select pg_catalog.txid_current(), pg_catalog.current_setting('frb.rows', true)";

Result<std::vector<StatementRows>> runAll(Environment& env, Session& session, const Task& task, Deadline deadline) {
  if (auto ok = session.query("begin", deadline); !ok) return during("beginning afterStage", ok.error());
  auto begun = session.query(kBegin, deadline);
  if (!begun) return during("beginning afterStage", begun.error());
  std::vector<StatementRows> out;
  for (const auto& statement : task.afterStage) {
    env.progress.report(out.size(), task.afterStage.size(), "statements", "afterStage " + statement.name);
    if (auto ok = session.query(block(statement.statement), deadline); !ok)
      return failedIn(called(statement), ok.error());
    auto touched = session.query(kTouched, deadline);
    if (!touched) return failedIn(called(statement), touched.error());
    // Nothing we know of gets here; what was changed would not be all or nothing any more.
    if (text(touched->at(0), 0) != text(begun->at(0), 0))
      return afterStageFailed(called(statement) + " left the transaction it is run in");
    out.push_back({statement.name, number(touched->at(0), 1)});
  }
  // Deferred constraints and triggers are judged here.
  if (auto ok = session.query("commit", deadline); !ok)
    return failedIn("committing the statements of afterStage", ok.error());
  return out;
}

// What no manifest holds and statements may change all the same: triggers, whether they are enabled, rules and views,
// the bodies of functions, how a table is kept. Of what is no catalog's.
constexpr char kBesides[] = R"(/* besides */
with ns as (select oid, nspname from pg_catalog.pg_namespace where nspname not in ('pg_catalog', 'information_schema')
  and nspname !~ '^pg_(toast|temp_|toast_temp_)')
select 'trigger ' || tgrelid::pg_catalog.regclass::text || ' ' || tgname || ' ' || tgenabled::text || ' ' ||
  pg_catalog.pg_get_triggerdef(t.oid) from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = tgrelid
  join ns on ns.oid = c.relnamespace
union all select 'rule ' || ev_class::pg_catalog.regclass::text || ' ' || rulename || ' ' || ev_enabled::text || ' ' ||
  pg_catalog.pg_get_ruledef(r.oid) from pg_catalog.pg_rewrite r join pg_catalog.pg_class c on c.oid = ev_class
  join ns on ns.oid = c.relnamespace
union all select 'function ' || p.oid::pg_catalog.regprocedure::text || ' ' || pg_catalog.md5(p::text)
  from pg_catalog.pg_proc p join ns on ns.oid = p.pronamespace
union all select 'table ' || c.oid::pg_catalog.regclass::text || ' ' || relpersistence::text || ' ' ||
  relrowsecurity::text || ' ' || relforcerowsecurity::text || ' ' || coalesce(reloptions::text, '')
  from pg_catalog.pg_class c join ns on ns.oid = c.relnamespace)";

// Everything that is compared with the backup but the rows, and what it has besides; one line each, sorted. Large
// objects have owners, and are data.
Result<std::vector<std::string>> schemaLines(Environment& env, const std::string& database, const Task& task,
                                             Deadline deadline) {
  auto session = env.database.open(database, Login::App, {}, deadline);
  if (!session) return session.error();
  auto out = structureLines(**session, deadline);
  if (!out) return out.error();
  auto owners = ownerLines(**session, deadline);
  if (!owners) return owners.error();
  for (auto& line : *owners)
    if (line.rfind("large object ", 0) != 0) out->push_back(std::move(line));
  auto besides = (*session)->query(kBesides, deadline);
  if (!besides) return besides.error();
  for (const auto& row : *besides) out->push_back(text(row, 0));
  auto present = extensions(**session, deadline);
  if (!present) return present.error();
  for (const auto& extension : *present)
    out->push_back("extension " + extension.name + " " + extension.version + " in " + extension.schema);
  if (!task.schemaQuery.empty()) {
    auto level = schemaLevel(**session, task.schemaQuery, deadline);
    if (!level) return level.error();
    for (const auto& name : level->names) out->push_back("schema level " + name);
    if (!level->known()) out->push_back("schema level unknown: " + level->unknownReason);
  }
  std::sort(out->begin(), out->end());
  return out;
}

}  // namespace

Result<std::vector<StatementRows>> runAfterStage(Environment& env, const std::string& database, const Task& task,
                                                 Deadline deadline) {
  auto before = schemaLines(env, database, task, deadline);
  if (!before) return before.error();
  auto session = env.database.open(database, Login::App, {}, deadline);
  if (!session) return session.error();
  auto rows = runAll(env, **session, task, deadline);
  // Its end takes back what is not committed, and what a statement set for the session with it.
  session->reset();
  if (!rows) return rows;
  auto after = schemaLines(env, database, task, deadline);
  if (!after) return after.error();
  std::vector<std::string> differing;
  std::set_symmetric_difference(before->begin(), before->end(), after->begin(), after->end(),
                                std::back_inserter(differing));
  if (!differing.empty())
    return afterStageFailed("the statements of afterStage are for rows, and changed the schema of the staged copy: \"" +
                            differing.front().substr(0, 300) + "\" is there only before or only after them");
  return rows;
}

}  // namespace rollback::mover

#include "mover/row_counts.h"

#include <algorithm>

#include "mover/outcome.h"

namespace rollback::mover {
namespace {

constexpr std::int64_t kLargestTable = 16 << 20, kLargestSum = 128 << 20;
constexpr std::size_t kAtOnce = 50;

// The tables, with the server's estimate and `size`.
std::string list(const std::string& size) {
  return "/* sizes */ select format('%I.%I', n.nspname, c.relname), greatest(c.reltuples, 0)::bigint, " + size +
         ", has_table_privilege(c.oid, 'select') from pg_class c join pg_namespace n on n.oid = c.relnamespace where "
         "c.relkind = 'r' and c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' "
         "and "
         "not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype "
         "= "
         "'e') order by 2 desc, 1 limit 500";
}

// In a transaction of its own that waits for no lock longer than two seconds and is shown every row or none.
Result<Rows> patiently(Session& session, const std::string& query, Deadline deadline) {
  for (const char* statement : {"begin isolation level repeatable read read only", "set local lock_timeout to '2s'",
                                "set local row_security to off"})
    if (auto ok = session.query(statement, deadline); !ok) return during("preparing to count rows", ok.error());
  auto rows = session.query(query, deadline);
  if (!rows && connectionLost(rows.error())) return rows;
  if (auto ok = session.query("rollback", deadline); !ok) return during("having counted rows", ok.error());
  return rows;
}

// Counts the tables at these places; one that cannot be counted leaves all as they are.
Result<void> countSome(Session& session, std::vector<RowCount>& tables, const std::vector<std::size_t>& places,
                       Deadline deadline) {
  std::string query;
  for (const std::size_t place : places)
    query += (query.empty() ? "/* rows */ select " : " union all select ") + std::to_string(place) +
             ", count(*) from only " + tables[place].name;
  auto counted = patiently(session, query, deadline);
  if (!counted && connectionLost(counted.error())) return counted.error();
  if (!counted) return {};
  for (const auto& row : *counted) {
    auto& table = tables.at(static_cast<std::size_t>(number(row, 0)));
    table.rows = number(row, 1);
    table.exact = true;
  }
  return {};
}

}  // namespace

Result<std::vector<RowCount>> rowCounts(Session& session, Deadline deadline) {
  // The size of a table waits for its lock; where that is not to be had, nothing is counted.
  auto rows = patiently(session, list("pg_relation_size(c.oid)"), deadline);
  if (!rows && connectionLost(rows.error())) return rows.error();
  if (!rows) rows = session.query(list(std::to_string(kLargestTable + 1)), deadline);
  if (!rows) return during("estimating the tables", rows.error());
  std::vector<RowCount> out;
  std::vector<std::int64_t> sizes;
  std::vector<std::size_t> small;
  for (const auto& row : *rows) {
    out.push_back({text(row, 0), number(row, 1), false});
    sizes.push_back(number(row, 2));
    if (sizes.back() <= kLargestTable && truth(row, 3)) small.push_back(out.size() - 1);
  }
  std::sort(small.begin(), small.end(), [&](std::size_t a, std::size_t b) { return sizes[a] < sizes[b]; });
  std::int64_t sum = 0;
  std::vector<std::size_t> places;
  for (const std::size_t place : small) {
    if ((sum += sizes[place]) > kLargestSum) break;
    places.push_back(place);
    if (places.size() < kAtOnce) continue;
    if (auto ok = countSome(session, out, places, deadline); !ok) return ok.error();
    places.clear();
  }
  if (!places.empty())
    if (auto ok = countSome(session, out, places, deadline); !ok) return ok.error();
  std::stable_sort(out.begin(), out.end(), [](const RowCount& a, const RowCount& b) { return a.rows > b.rows; });
  return out;
}

}  // namespace rollback::mover

// How many rows the tables of live have, for people who decide whether to lose some of them: counted where that is not
// felt, else what the server estimates.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mover/database.h"

namespace rollback::mover {

struct RowCount {
  std::string name;  // schema.table, quoted as in a manifest
  std::int64_t rows = 0;
  bool exact = false;
};

// The tables of user schemas, those with most rows first, at most 500; partitions are tables of their own, a
// partitioned table is none. Counts tables of at most 16 MiB, 128 MiB in all, waiting for no lock longer than two
// seconds; one that cannot be read whole (a right is missing, a row policy hides rows) keeps its estimate. Errors: a
// lost connection, or the list of tables cannot be read.
Result<std::vector<RowCount>> rowCounts(Session& session, Deadline deadline);

}  // namespace rollback::mover

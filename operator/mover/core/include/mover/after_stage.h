// The class's afterStage: statements that change rows of the staged copy once it was found equal to the backup, so that
// the application does not do a second time what the restored data says is still to be done.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "mover/environment.h"
#include "mover/task.h"

namespace rollback::mover {

struct StatementRows {
  std::string name;
  std::int64_t rows = 0;  // as the server counted them; none for statements that have no count, a DO block for one
};

// Runs task.afterStage in `database`, in order, in one transaction of the application's role, with the settings the
// database gives to the application's sessions. AfterStageFailed: the server refused a statement, it is not exactly one
// statement, it left the transaction, or the schema is not the one from before. Other errors are those of a session;
// whether something was committed then nobody knows, and the copy must be dropped as after any other failure.
Result<std::vector<StatementRows>> runAfterStage(Environment& env, const std::string& database, const Task& task,
                                                 Deadline deadline);

}  // namespace rollback::mover

#include "mover/verbs.h"

namespace rollback::mover {

Outcome runVerb(const Task& task, Environment& env) {
  if (task.verb == "inspect") return inspect(task, env);
  if (task.verb == "backup") return backup(task, env);
  if (task.verb == "verify") return verify(task, env);
  if (task.verb == "scan") return scan(task, env);
  if (task.verb == "stage") return stage(task, env);
  if (task.verb == "switch") return switchOver(task, env);
  if (task.verb == "switchback") return switchBack(task, env);
  if (task.verb == "check") return check(task, env);
  if (task.verb == "discard") return discard(task, env);
  if (task.verb == "cleanup") return cleanup(task, env);
  return refused(problem(ErrorCode::BadInput, "UnknownVerb",
                         "the task asks for \"" + task.verb +
                             "\", which this mover cannot do; it is of another version than the operator"));
}

}  // namespace rollback::mover

// The verbs (docs/mover.md, Verbs): each one step machine, one file.
#pragma once

#include "mover/environment.h"
#include "mover/outcome.h"
#include "mover/task.h"

namespace rollback::mover {

Outcome inspect(const Task& task, Environment& env);
Outcome backup(const Task& task, Environment& env);
Outcome verify(const Task& task, Environment& env);
Outcome scan(const Task& task, Environment& env);
Outcome stage(const Task& task, Environment& env);
Outcome switchOver(const Task& task, Environment& env);
Outcome switchBack(const Task& task, Environment& env);
Outcome check(const Task& task, Environment& env);
Outcome discard(const Task& task, Environment& env);
Outcome cleanup(const Task& task, Environment& env);

// By task.verb; Refused (UnknownVerb) for another.
Outcome runVerb(const Task& task, Environment& env);

}  // namespace rollback::mover

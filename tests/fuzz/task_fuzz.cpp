// task.json: a task that is accepted is whole, and its token is the one an answer would carry.
#include "fuzz.h"
#include "mover/task.h"

void rollback::fuzz::one(std::string_view input) {
  const std::string text(input);
  const auto task = mover::decodeTask(text);
  const std::string token = mover::tokenOf(text);
  if (!task) {
    require(task.error().reason == "BadTask", "a refusal by name");
    return;
  }
  require(task->version == 1 && task->token == token, "the token that is answered with");
  for (const auto* name : {&task->names.stage, &task->names.prev, &task->names.reverted, &task->postgres.database})
    require(name->size() <= 63 && name->find('\0') == std::string::npos, "a name a database can have");
}

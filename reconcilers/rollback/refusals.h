// Why a rollback is refused before anything is touched: every code there is, with the command that comes next. The one
// list: docs/troubleshooting.md is held against it, and so are the code and its tests (tests/docs/refusals.py).
#pragma once

#include <string>
#include <vector>

#include "rollback/step.h"

namespace rollback::reconcilers {

struct Refusal {
  const char* code;
  const char* command;  // {ns}, {name}, {framework}, {class}, {repository} stand for what the rollback names
};

const std::vector<Refusal>& refusals();

// The command for a code, filled in; for a code that is not in the list, the one that shows the whole record.
std::string nextCommand(const StepContext& context, const std::string& code);

// status.message of a refusal: what failed, what state the application is in, what the operator does next, the command.
std::string refusalMessage(const StepContext& context, const std::string& step, const StepResult& refusal);

// The same of a rollback that ends as Skipped: a precondition of its own does not hold, or there is nothing to do.
std::string skippedMessage(const StepContext& context, const StepResult& skipped);

// How one is answered by a step. A command of its own is given where the object at fault is known.
StepResult refuse(std::string code, std::string message, std::string command = "");

}  // namespace rollback::reconcilers

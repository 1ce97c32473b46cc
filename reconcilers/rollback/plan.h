// What a plan is made of and what it stands for.
#pragma once

#include <string>

#include "rollback/step.h"
#include "rollback/target.h"

namespace rollback::reconcilers {

// What objects alone can say against going to `target`: nothing here starts a Job. Fills in what runs and where it goes
// (status.from, status.to).
std::optional<StepResult> refuseByObjects(StepContext& context, const Target& target);

// SHA-256 over what the plan rests on: backup, images, scope, stores, uid and generation of Framework and class. Not
// times, sizes or estimates: the same wish on the same world has the same digest.
std::string planDigest(StepContext& context);

}  // namespace rollback::reconcilers

// What a plan is made of and what it stands for.
#pragma once

#include <string>

#include "rollback/step.h"

namespace rollback::reconcilers {

// SHA-256 over what the plan rests on: backup, images, scope, stores, uid and generation of Framework and class. Not
// times, sizes or estimates: the same wish on the same world has the same digest.
std::string planDigest(StepContext& context);

}  // namespace rollback::reconcilers

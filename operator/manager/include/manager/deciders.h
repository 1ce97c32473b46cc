// The four kinds' deciders: a live snapshot, then the kind's reconciler.
#pragma once

#include "common/settings.h"
#include "manager/gather.h"
#include "manager/reconcile.h"

namespace rollback::manager {

struct Deciders {
  Decide rollbacks, backups, frameworks, repositories;
};

// `gatherer` outlives them.
Deciders deciders(Gatherer& gatherer, const reconcilers::Settings& settings);

}  // namespace rollback::manager

// The four kinds' deciders: a live snapshot, then the kind's reconciler.
#pragma once

#include "common/settings.h"
#include "manager/gather.h"
#include "manager/instruments.h"
#include "manager/reconcile.h"

namespace rollback::manager {

struct Deciders {
  Decide rollbacks, backups, frameworks, repositories;
};

// `gatherer` and `instruments` outlive them; without instruments nothing is counted.
Deciders deciders(Gatherer& gatherer, const reconcilers::Settings& settings, Instruments* instruments = nullptr);

}  // namespace rollback::manager

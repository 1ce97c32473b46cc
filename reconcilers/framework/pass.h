// One pass over one Framework: the snapshot, the draft of what its status would say next, and what its parts answer.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/components.h"
#include "common/decision.h"
#include "common/settings.h"
#include "common/snapshot.h"
#include "jobs/run.h"
#include "stores/postgres.h"

namespace rollback::reconcilers {

// What one part of the reconciler wants. Requests go out before anything is recorded; what the draft says is written
// otherwise.
struct FrameworkAnswer {
  std::vector<kube::Request> requests;
  std::vector<Event> events;  // with the next status write
  bool again = false;         // the draft announces an act: look again once it is written
  std::optional<Millis> recheck;
  std::string busy;    // what is being done, for the conditions; empty: nothing
  bool stuck = false;  // what is being done waits for a person
};

struct FrameworkPass {
  FrameworkPass(const FrameworkSnapshot& snapshot, const Settings& settings);

  const FrameworkSnapshot& in;
  const Settings& settings;
  api::Framework draft;
  std::vector<ComponentView> components;  // in start order; points into the snapshot

  const api::FrameworkSpec& spec() const { return in.object.spec; }
  std::string nowText() const { return formatTime(in.ns.now); }
  // The driver of a store that framework and class both describe.
  std::optional<PostgresDriver> driver(const api::Store& store) const;
  JobRunInput jobInput(const std::string& step, const std::string& store, int maxAttempts) const;
  std::string jobNameOf(const std::string& step, const std::string& store, int attempt) const;
};

// framework/observe.cpp: why the application is not healthy as (reason, sentence); absent: it is.
struct Unhealthy {
  std::string reason, message;
};
std::optional<Unhealthy> unhealthy(const FrameworkPass& pass);
// Why the stores cannot be worked on; empty: they can.
std::string unsupportedStores(const FrameworkPass& pass);
// Updates status.running, status.history and status.healthy from what runs now.
void observeRunning(FrameworkPass& pass, bool healthy);

// framework/inspect.cpp: the schema of every store, once per image set, into status.running.
FrameworkAnswer inspectStores(FrameworkPass& pass);
// framework/cleanup.cpp: databases kept for undo whose time is over.
FrameworkAnswer cleanUp(FrameworkPass& pass);
// framework/lost_lock.cpp: the rollback that holds the lock is gone; takes it back from the lock's resume record, then
// gives up the lock, and says in `busy` what state things are in.
FrameworkAnswer lostLock(FrameworkPass& pass);
// Drops its lines from the journal: the lock is given up.
void forgetLost(FrameworkPass& pass);
// The command that gives up the lock by hand.
std::string unlockCommand(const FrameworkPass& pass);

}  // namespace rollback::reconcilers

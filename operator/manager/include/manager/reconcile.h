// From a key to requests: gather, decide, send, again. The one loop all four kinds share.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/decision.h"
#include "kube/client/client.h"
#include "manager/gather.h"
#include "runtime/controller.h"
#include "runtime/event_recorder.h"

namespace rollback::manager {

// What an object's reconciler looks like from here: a live snapshot turned into a decision, and whom Events regard.
struct Decided {
  reconcilers::Decision decision;
  runtime::ObjectReference regarding;
  // Called with each request the server carried out and the object it answered with. May be empty.
  std::function<void(const kube::Request& request, const std::string& answer)> accepted{};
};
// Absent: the object is gone, nothing to do.
using Decide = std::function<Result<std::optional<Decided>>(const std::string& namespace_, const std::string& name,
                                                            const Gatherer::Call& call)>;

// A Reconcile for runtime::Controller. Requests of a decision are sent in order; the first that fails ends the pass. A
// stale write (Conflict, a failed JSON patch test) means the snapshot was old: a new one is taken. `recorder` outlives
// it.
runtime::Reconcile reconcileLoop(Decide decide, std::shared_ptr<kube::Client> client, runtime::EventRecorder& recorder);

}  // namespace rollback::manager

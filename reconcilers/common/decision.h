// What a reconciler answers: what to send, when to look again. A decision is a pure function of its snapshot, so a
// process that dies between any two requests re-decides the same thing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "kube/objects/request.h"

namespace rollback::reconcilers {

// An Event worth reading (events.k8s.io/v1), regarding the reconciled object.
struct Event {
  std::string type = "Normal";  // Normal | Warning
  std::string reason, action, note;
};

// The write-ahead rule: an act is announced by a status write that was accepted before it is sent. A decision records
// (one status write that announces an act or notes its end), or acts, or does both in that order. Requests are sent in
// order; the first error ends the pass and the next one starts from a new snapshot. A Create that answers AlreadyExists
// counts as sent: the next snapshot shows whose it is.
struct Decision {
  std::vector<kube::Request> requests;
  std::vector<Event> events;           // recorded once the first request was accepted
  std::optional<Millis> requeueAfter;  // absent: only a change of what was watched brings us back
  bool again = false;                  // look again at once
};

}  // namespace rollback::reconcilers

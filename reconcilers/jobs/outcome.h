// What a mover's pod said at its end (docs/mover.md, Channels), and what a snapshot shows of a Job.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/framework_rollback.h"
#include "base/result.h"
#include "kube/objects/workloads.h"

namespace rollback::reconcilers {

struct Outcome {
  enum class Kind { Succeeded, Refused, Failed };
  Kind kind = Kind::Failed;
  std::string code, message, token;
  std::int64_t resultSize = 0;
  std::string resultSha256;
  std::string result;          // JSON; from the message itself, or joined from the log by joinResult()
  bool resultMissing = false;  // it was too large for the message, and the log could not give it
};

// Termination message → Outcome. Protocol error if it is not ours.
Result<Outcome> decodeOutcome(std::string_view terminationMessage);
// Joins the FRB-RESULT lines of a log; Protocol if size or SHA-256 differ from what the outcome announced.
Result<std::string> joinResult(const std::string& log, const Outcome& outcome);

struct MoverProgress {
  api::StepProgress progress;
  std::string what;
};
// The last FRB-PROGRESS line of a log.
std::optional<MoverProgress> lastProgress(const std::string& log);
// The FRB-OUTCOME line at a log's end: what the termination message holds, a kubelet's second earlier.
std::optional<Outcome> lastOutcome(const std::string& log);

inline constexpr const char* kMoverContainer = "mover";  // of a Job's pod: the one that acts and reports

// A Job of ours as a snapshot shows it, with its pods.
struct JobView {
  kube::Job job;
  std::vector<kube::Pod> pods;
  std::optional<Outcome> outcome;  // of the newest pod that ended with one, or said one
  std::string saidBy;              // the pod whose log ends with `outcome`: it does nothing more but end
  std::optional<MoverProgress> progress;

  bool podsGone() const;  // none that has not ended
  // In none of them a mover acts, nor can again (they are never restarted). A kubelet tells of a container's end up to
  // a second after it, and of the pod's yet another second later.
  bool moversGone() const;
  const kube::Pod* runningPod() const;
  // Why it does not get on: image that cannot be pulled, no node, a Secret that is missing. Empty: nothing to say.
  std::string trouble() const;
};

}  // namespace rollback::reconcilers

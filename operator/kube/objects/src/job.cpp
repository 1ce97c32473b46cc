#include <nlohmann/json.hpp>

#include "decode.h"
#include "kube/objects/workloads.h"

namespace rollback::kube {

Result<Job> decodeJob(std::string_view text) {
  using decode::Fields;
  const auto document = decode::parse(text, "Job");
  if (!document) return document.error();
  std::string fault;
  const Fields object(*document, fault);
  const Fields status = object.object("status");

  Job job;
  job.meta = decode::readMeta(object);
  job.suspended = object.object("spec").boolean("suspend");
  job.active = status.count("active");
  job.succeeded = status.count("succeeded");
  job.failed = status.count("failed");
  job.terminating = status.count("terminating");
  status.each("conditions", [&](const Fields& condition) {
    if (condition.string("status") != "True") return;
    const std::string type = condition.string("type");
    if (type == "Complete") job.complete = true;
    if (type == "Failed") {
      job.failedCondition = true;
      job.failedReason = condition.string("reason");
      job.failedMessage = condition.string("message");
    }
  });

  if (auto fine = decode::check(object, fault, "Job"); !fine) return fine.error();
  return job;
}

}  // namespace rollback::kube

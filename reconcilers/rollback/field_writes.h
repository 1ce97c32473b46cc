// Writes to fields of workloads that others may write too.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/components.h"
#include "kube/objects/request.h"
#include "rollback/step.h"

namespace rollback::reconcilers {

// Each write is announced with the generation of the workload it changes: while the workload is still at that one, it
// was not executed and is sent again; at a later one somebody has written since, and it counts as another. The
// journal's line keeps the last of each workload, so that one after the other is not one again and again.
class FieldWrites {
 public:
  void add(const ComponentView& component, kube::Request request);
  bool empty() const { return requests_.empty(); }
  // "Deployment/shop", of the one added last.
  const std::string& last() const { return last_; }

  // Announces them as `what` in the journal's line of that name, or sends them when they are announced. S15: fails with
  // `code` after eight writes that somebody set back; `contested` says what he does.
  StepResult send(StepContext& context, const std::string& recordName, const std::string& what, const char* code,
                  const std::string& contested);

 private:
  std::vector<kube::Request> requests_;
  std::map<std::string, std::string> generations_;  // by workload
  std::string last_;
};

}  // namespace rollback::reconcilers

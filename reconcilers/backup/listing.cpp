// Who writes an entry of the catalogue: the one place that both reconcilers ask.
#include "api/resources.h"
#include "backup/backup.h"

namespace rollback::reconcilers {

bool isMereListing(const api::FrameworkBackup& backup) {
  if (backup.meta.deleting()) return false;
  const auto origin = backup.meta.labels.find(api::kLabelOrigin);
  const auto& phase = backup.status.phase;
  return origin != backup.meta.labels.end() && origin->second == api::kOriginScan && !backup.spec.path.empty() &&
         (phase.empty() || phase == "Missing" ||
          (phase == "Listed" && !backup.meta.annotations.count(api::kAnnotationVerify)));
}

}  // namespace rollback::reconcilers

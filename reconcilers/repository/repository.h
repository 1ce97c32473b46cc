// BackupRepository: says whether its claim can be used, and has it looked through for backups.
//
// A scan is one read-only Job (the mover's verb `scan`), due after a change of the spec, when the annotation
// rollback.pa-ecosystem.io/scan gets another value, and every spec.scanInterval. Its line of the journal is written
// before the Job is made, so there is never a second one beside it; its result becomes entries of the catalogue
// (catalogue.h), some in each pass, and the line is closed when none is left to write.
#pragma once

#include "common/decision.h"
#include "common/settings.h"
#include "common/snapshot.h"

namespace rollback::reconcilers {

Decision reconcileRepository(const RepositorySnapshot& snapshot, const Settings& settings);

// Whether the pass needs to see the catalogue: a scan is under way.
bool isScanning(const api::BackupRepository& repository);

}  // namespace rollback::reconcilers

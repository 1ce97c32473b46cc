// What a scan found, against the entries (FrameworkBackups) that are there: the requests that make the one the other.
// Pure, and the same whichever of them were sent before: each entry's name follows from its folder, each status from
// what was found. When nothing has changed there is nothing to send.
//
//   folder without entry             create it (label origin=scan)
//   entry of a scan, not read        status from the scan: Listed, with what is wrong or missing
//   entry that was proven            its folder changed or was damaged: Failed
//   folder gone                      entry of a scan that no rollback names: deleted; else phase Missing; there again:
//   back entry under way, or ended Failed left alone
#pragma once

#include <string>
#include <vector>

#include "common/snapshot.h"
#include "kube/objects/request.h"
#include "stores/inspection.h"

namespace rollback::reconcilers {

struct CatalogueChanges {
  std::vector<kube::Request> requests;  // at most `most`; the rest shows in the next pass
  std::int64_t listed = 0;              // folders that have an entry, or get one
  std::int64_t restorable = 0;
  std::int64_t unlisted = 0;  // folders whose name cannot be an entry's
};

// `scannedAt`: RFC 3339, when the scan was begun. What ended later than that the scan may not have seen.
CatalogueChanges catalogueChanges(const RepositorySnapshot& snapshot, const ScanResult& scan,
                                  const std::string& scannedAt, std::size_t most);

// Name of the entry of a folder: its last part where that is free and fits, else shortened with a hash of repository
// and path. At most 63 characters.
std::string entryName(const std::string& repository, const std::string& path, bool lastPartIsFree);

}  // namespace rollback::reconcilers

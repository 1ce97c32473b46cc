// Framework: observes what runs and whether it is healthy, remembers every version that was (its images, and the schema
// its database had, read by an `inspect` Job once per image set), drops the databases kept for undo when their time is
// over, and sees to a lock whose holder is gone.
//
// While a rollback holds the lock nothing is read, recorded or dropped: what runs is the rollback's business.
#pragma once

#include "common/decision.h"
#include "common/settings.h"
#include "common/snapshot.h"

namespace rollback::reconcilers {

Decision reconcileFramework(const FrameworkSnapshot& snapshot, const Settings& settings);

// What the object that a lock names says of it. One that ended with nothing touched holds none (its end came after the
// lock was given back, or it never had it): a lock that names it was written late, by a leader deposed meanwhile.
FrameworkSnapshot::Holder holderOf(const api::FrameworkRollback& rollback);
FrameworkSnapshot::Holder holderOf(const api::FrameworkBackup& backup);

}  // namespace rollback::reconcilers

// The steps, in order (docs/architecture.md, "The engine"). Each looks at one moment and answers what comes next.
#pragma once

#include "rollback/step.h"

namespace rollback::reconcilers {

// Forward.
StepResult planStep(StepContext& context);
StepResult lockStep(StepContext& context);
StepResult verifyBackupStep(StepContext& context);
// The target image of each component, pulled and started as a no-op. Part of Stage, and what a dry run ends with.
StepResult startTargetsStep(StepContext& context);
StepResult stageStep(StepContext& context);
StepResult quiesceStep(StepContext& context);
StepResult switchStep(StepContext& context);
StepResult resumeStep(StepContext& context);
StepResult verifyStep(StepContext& context);
StepResult closeStep(StepContext& context);
// What the checks after an undo found wrong with what it brought back; empty: nothing.
std::string unhealthyAsItWas(const StepContext& context);
// What Verify found that somebody did to live or the previous database of a store; empty: nothing, it is kept, closed.
std::string changedSinceSwitch(const StepContext& context, const std::string& store);

// Backward. Abandon: StopJobs, Discard, Unlock. Revert: StopJobs, RevertQuiesce, SwitchBack, RevertResume, Discard,
// RevertClose.
StepResult stopJobsStep(StepContext& context);
StepResult revertQuiesceStep(StepContext& context);
StepResult switchBackStep(StepContext& context);
StepResult revertResumeStep(StepContext& context);
// Why the application, started as it was before, did not become ready; empty: it did.
std::string notReadyAsBefore(const StepContext& context);
// What runs another image than it should (component → image), as half a sentence: somebody set it, or re-created the
// workload with it, and it is left alone. Empty: nothing.
std::string imagesSetMeanwhile(const StepContext& context,
                               const std::vector<std::pair<std::string, std::string>>& images);
// What to re-create a component's workload with, as the end of a sentence: ": re-create it with image …".
std::string recreateWith(const std::vector<std::pair<std::string, std::string>>& images, const std::string& component);
// Component → image when the lock was taken; empty without the lock.
std::vector<std::pair<std::string, std::string>> imagesAtLock(const StepContext& context);
StepResult discardStep(StepContext& context);
StepResult unlockStep(StepContext& context);

// Shared pieces.

// Merges what independent parts of one step answered: Fail and End first, then Record, Act (all of them), Wait, Done.
StepResult together(std::vector<StepResult> parts);
// Scales every component to 0 in reverse start order and waits until their pods are gone.
StepResult stopApplication(StepContext& context, const std::string& recordName);
// Sets the images (component → image) of components whose workload runs something else; only at zero replicas.
// `whole`: one that is gone holds up no other.
StepResult setImages(StepContext& context, const std::string& recordName,
                     const std::vector<std::pair<std::string, std::string>>& images, bool whole);
// Scales back to the recorded replicas in start order, each rolled out before the next starts; CronJobs are left as
// they are. `whole`: one that is gone or does not become ready holds up no other, and is told at the end.
StepResult startApplication(StepContext& context, const std::string& recordName, bool whole);
// Lets CronJobs go on that did before. Never fails: one that somebody suspends again and again stays so, and one that
// is gone is told of, with its image (component → image).
StepResult resumeCronJobs(StepContext& context, const std::vector<std::pair<std::string, std::string>>& images);
// Why one did not go on; empty: all that are to do.
std::string cronJobsNotResumed(const StepContext& context);
// A Job that looks from a component's own image, which brings nothing but the image: it reads, and has no task yet.
JobSpec componentJob(const StepContext& context, const api::StepRecord& record, const std::string& step,
                     const std::string& component, const std::string& image);
// Something to wait for while another rollback or a backup holds the framework; nothing when it is free, or ours.
std::optional<StepResult> waitForTurn(const StepContext& context);
// The end of one whose spec.validUntil has passed before it took the lock.
std::optional<StepResult> expired(const StepContext& context);
// No Job of ours, and no pod of one, may act any more.
StepResult allJobsEnded(const StepContext& context);
// The copies a revert leaves behind: what was switched in, and is out again.
std::vector<api::KeptCopy> keptAfterRevert(StepContext& context);
// Adds copies to status.kept, each once by store and OID; whether it changed anything.
bool keepCopies(api::FrameworkStatus& status, const std::vector<api::KeptCopy>& keep);
// Writes Framework.status with kept copies added and our lock released, in one compare-and-swap. `succeeded`: what was
// switched in is live for good, and this is the rollback that can be undone.
StepResult releaseLock(StepContext& context, const std::vector<api::KeptCopy>& keep, bool succeeded);
// What a lock's record says of its stores, as a plan does.
std::vector<api::PlannedStore> plannedStores(const api::ActiveRollback& lock);
// Whether a go token may have reached the switch Job of that store.
bool goGiven(const StepContext& context, const api::PlannedStore& store);

}  // namespace rollback::reconcilers

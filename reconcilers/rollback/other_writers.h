// Who else writes what a rollback writes: replicas and images of the framework's workloads. What sets them back by
// itself is refused before anything is stopped (we never out-shout another owner of a field); everybody is named in the
// plan.
#pragma once

#include <optional>
#include <vector>

#include "rollback/step.h"

namespace rollback::reconcilers {

// Known from the workloads and the HorizontalPodAutoscalers alone, so that no right on anybody's own resources is
// needed:
//  - KEDA: an autoscaler of the workload that a ScaledObject owns. KEDA deletes it while the ScaledObject is paused. A
//  plain
//    autoscaler is fine: it rests while its target is at 0.
//  - Argo CD: its tracking annotation or label. Whether it heals itself is written in its Application, which we may not
//  read.
//  - Flux: the labels of a Kustomization (fine while the object's annotation kustomize.toolkit.fluxcd.io/reconcile says
//    disabled) or of a HelmRelease.
//  - Any other controller that owns the workload.
std::optional<StepResult> refuseOtherWriters(const StepContext& context);

// As metadata.managedFields has it, us left out.
std::vector<api::PlannedWriter> otherWriters(const StepContext& context);

}  // namespace rollback::reconcilers

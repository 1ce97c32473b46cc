// The resources of group rollback.pa-ecosystem.io/v1alpha1 and the names other code shares: labels, annotations,
// finalizers.
#pragma once

#include "kube/objects/request.h"

namespace rollback::api {

inline constexpr const char* kGroup = "rollback.pa-ecosystem.io";
inline constexpr const char* kVersion = "v1alpha1";

extern const kube::Resource kFrameworkClasses, kFrameworks, kBackupRepositories, kFrameworkBackups, kFrameworkRollbacks;

// The ServiceAccount of a user's namespace that everything there is done as.
inline constexpr const char* kRunner = "rollback-runner";
inline constexpr const char* kFieldManager = "framework-rollback-operator";

// Labels on every Job, pod and ConfigMap we create.
inline constexpr const char* kLabelFramework = "rollback.pa-ecosystem.io/framework";
inline constexpr const char* kLabelOwnerUid =
    "rollback.pa-ecosystem.io/owner-uid";  // uid of the rollback, backup or framework
inline constexpr const char* kLabelOwnerKind = "rollback.pa-ecosystem.io/owner-kind";
inline constexpr const char* kLabelOwnerName = "rollback.pa-ecosystem.io/owner-name";
inline constexpr const char* kLabelStep = "rollback.pa-ecosystem.io/step";
inline constexpr const char* kLabelStore = "rollback.pa-ecosystem.io/store";
inline constexpr const char* kLabelEffect = "rollback.pa-ecosystem.io/effect";  // read | write
inline constexpr const char* kLabelManagedBy = "app.kubernetes.io/managed-by";

inline constexpr const char* kLabelOrigin =
    "rollback.pa-ecosystem.io/origin";  // on a FrameworkBackup: scan, if the operator listed a folder it found
inline constexpr const char* kOriginScan = "scan";

inline constexpr const char* kAnnotationTask = "rollback.pa-ecosystem.io/task";
inline constexpr const char* kAnnotationGo = "rollback.pa-ecosystem.io/go";
// On a Framework: an administrator gives up the lock of the rollback with that uid.
inline constexpr const char* kAnnotationUnlock = "rollback.pa-ecosystem.io/unlock";
// On a workload: uid of the rollback that went back without having had to change it.
inline constexpr const char* kAnnotationFence = "rollback.pa-ecosystem.io/fence";

// On a BackupRepository: another value than before asks for a scan now.
inline constexpr const char* kAnnotationScan = "rollback.pa-ecosystem.io/scan";
// On a FrameworkBackup that a scan listed: any value asks for its full read.
inline constexpr const char* kAnnotationVerify = "rollback.pa-ecosystem.io/verify";

inline constexpr const char* kRollbackFinalizer = "rollback.pa-ecosystem.io/rollback";
inline constexpr const char* kBackupFinalizer =
    "rollback.pa-ecosystem.io/backup";  // while a backup holds its framework
inline constexpr const char* kFrameworkFinalizer = "rollback.pa-ecosystem.io/locked";

}  // namespace rollback::api

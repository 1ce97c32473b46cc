#include "api/resources.h"

namespace rollback::api {

const kube::Resource kFrameworkClasses{kGroup, kVersion, "frameworkclasses", "FrameworkClass", false};
const kube::Resource kFrameworks{kGroup, kVersion, "frameworks", "Framework", true};
const kube::Resource kBackupRepositories{kGroup, kVersion, "backuprepositories", "BackupRepository", true};
const kube::Resource kFrameworkBackups{kGroup, kVersion, "frameworkbackups", "FrameworkBackup", true};
const kube::Resource kFrameworkRollbacks{kGroup, kVersion, "frameworkrollbacks", "FrameworkRollback", true};

}  // namespace rollback::api

//! Our kinds, as far as a peer looks into them; what it does not name it does not keep. (The operator keeps all of them.)
use kube::CustomResource;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Named {
    pub name: String,
}

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize)]
#[kube(group = "rollback.pa-ecosystem.io", version = "v1alpha1", kind = "Framework", namespaced, schema = "disabled")]
#[serde(rename_all = "camelCase")]
pub struct FrameworkSpec {
    pub class_ref: Named,
    pub repository_ref: Named,
    pub components: Vec<Component>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    pub name: String,
    pub container: String,
    pub workload_ref: WorkloadRef,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct WorkloadRef {
    pub kind: String,
    pub name: String,
}

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize)]
#[kube(
    group = "rollback.pa-ecosystem.io",
    version = "v1alpha1",
    kind = "FrameworkRollback",
    namespaced,
    schema = "disabled",
    status = "RollbackStatus"
)]
#[serde(rename_all = "camelCase")]
pub struct RollbackSpec {
    pub framework_ref: Named,
    pub reason: Option<String>,
    pub mode: Option<String>,
}

/// `passes` and `journal` are the bench's own.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct RollbackStatus {
    pub phase: String,
    pub passes: usize,
    pub journal: String,
}

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize)]
#[kube(group = "rollback.pa-ecosystem.io", version = "v1alpha1", kind = "FrameworkBackup", namespaced, schema = "disabled", status = "BackupStatus")]
#[serde(rename_all = "camelCase")]
pub struct BackupSpec {
    pub framework_ref: Named,
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct BackupStatus {
    pub phase: Option<String>,
    pub version: Option<String>,
    pub path: Option<String>,
    pub digest: Option<String>,
}

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize)]
#[kube(
    group = "rollback.pa-ecosystem.io",
    version = "v1alpha1",
    kind = "BackupRepository",
    plural = "backuprepositories",
    namespaced,
    schema = "disabled"
)]
pub struct RepositorySpec {
    pub volume: Volume,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    pub persistent_volume_claim: Claim,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    pub claim_name: String,
}

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize)]
#[kube(group = "rollback.pa-ecosystem.io", version = "v1alpha1", kind = "FrameworkClass", plural = "frameworkclasses", schema = "disabled")]
pub struct ClassSpec {
    pub components: Vec<Named>,
    pub stores: Vec<Named>,
}

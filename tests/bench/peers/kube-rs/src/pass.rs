//! The requests of a rollback without what they decide: a pass reads live what the operator's gatherer does, then writes the rollback's
//! status, whose event brings the next pass. In its first half, until the operator has staged, a pass reads repository and claim,
//! too, in its first sixth, until the lock is taken, class, catalogue and ledger.
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod},
};
use kube::api::{ListParams, PostParams};
use kube::core::Selector;
use kube::runtime::controller::Action;
use kube::{Api, Client, Resource, ResourceExt};

use crate::types::*;

pub struct Passes {
    pub client: Client,
    /// That a rollback takes; 0: a reconcile does nothing.
    pub passes: usize,
    /// Of a rollback's status at its end; it grows evenly.
    pub status_bytes: usize,
}

impl Passes {
    fn within<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn gather(&self, namespace: &str, rollback: &FrameworkRollback) -> kube::Result<()> {
        let pods = self.within::<Pod>(namespace);
        let framework = self.within::<Framework>(namespace).get(&rollback.spec.framework_ref.name).await?.spec;
        for component in &framework.components {
            let deployment = self.within::<Deployment>(namespace).get(&component.workload_ref.name).await?;
            let selector: Selector = deployment.spec.and_then(|spec| spec.selector.match_labels).unwrap_or_default().into_iter().collect();
            pods.list(&ListParams::default().labels_from(&selector)).await?;
        }
        let passed = rollback.status.as_ref().map_or(0, |status| status.passes);
        if passed * 2 < self.passes {
            let repository = self.within::<BackupRepository>(namespace).get(&framework.repository_ref.name).await?.spec;
            self.within::<PersistentVolumeClaim>(namespace).get(&repository.volume.persistent_volume_claim.claim_name).await?;
        }
        let owned = ListParams::default().labels(&format!("rollback.pa-ecosystem.io/owner-uid={}", rollback.uid().unwrap_or_default()));
        self.within::<Job>(namespace).list(&owned).await?;
        pods.list(&owned).await?;
        if passed * 6 < self.passes {
            Api::<FrameworkClass>::all(self.client.clone()).get(&framework.class_ref.name).await?;
            self.within::<FrameworkBackup>(namespace).list(&ListParams::default()).await?;
            self.within::<ConfigMap>(namespace).get_opt(&format!("frb-ledger-{}", rollback.name_any())).await?; // never there
        }
        Ok(())
    }
}

pub async fn reconcile(seen: Arc<FrameworkRollback>, context: Arc<Passes>) -> kube::Result<Action> {
    let (namespace, name) = (seen.namespace().unwrap_or_default(), seen.name_any());
    if context.passes == 0 {
        return Ok(Action::await_change());
    }
    let rollbacks = context.within::<FrameworkRollback>(&namespace);
    let Some(mut rollback) = rollbacks.get_opt(&name).await? else {
        return Ok(Action::await_change());
    };
    let status = rollback.status.clone().unwrap_or_default();
    if status.phase == "Succeeded" {
        return Ok(Action::await_change());
    }
    context.gather(&namespace, &rollback).await?;
    let done = status.passes + 1;
    rollback.status = Some(RollbackStatus {
        phase: if done == context.passes { "Succeeded" } else { "Running" }.into(),
        passes: done,
        journal: "j".repeat(context.status_bytes * done / context.passes),
    });
    rollbacks.replace_status(&name, &PostParams::default(), serde_json::to_vec(&rollback).map_err(kube::Error::SerdeError)?).await?;
    Ok(Action::await_change())
}

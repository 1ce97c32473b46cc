//! The requests of a rollback without what they decide: a pass reads live what the operator's gatherer does, then writes the rollback's
//! status, whose event brings the next pass. In its first half, until the operator has staged, a pass reads repository and claim,
//! too, in its first sixth, until the lock is taken, class, catalogue and ledger.
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{ListParams, PostParams};
use kube::runtime::controller::Action;

use crate::reads::Live;
use crate::types::*;

pub struct Passes {
    pub live: Arc<Live>,
    /// That a rollback takes; 0: a reconcile does nothing.
    pub passes: usize,
    /// Of a rollback's status at its end; it grows evenly.
    pub status_bytes: usize,
}

impl Passes {
    async fn gather(&self, namespace: &str, rollback: &FrameworkRollback) -> kube::Result<()> {
        let live = &self.live;
        let framework = live.within::<Framework>(namespace).get(&rollback.spec.framework_ref.name).await?;
        live.workloads(namespace, &framework).await?;
        let passed = rollback.status.as_ref().map_or(0, |status| status.passes);
        if passed * 2 < self.passes {
            live.repository(namespace, &framework.spec.repository_ref.name).await?;
        }
        live.owned(namespace, rollback).await?;
        if passed * 6 < self.passes {
            live.class(&framework).await?;
            live.within::<FrameworkBackup>(namespace).list(&ListParams::default()).await?;
            live.within::<ConfigMap>(namespace).get_opt(&format!("frb-ledger-{}", rollback.name_any())).await?; // never there
        }
        Ok(())
    }
}

pub async fn reconcile(seen: Arc<FrameworkRollback>, context: Arc<Passes>) -> kube::Result<Action> {
    let (namespace, name) = (seen.namespace().unwrap_or_default(), seen.name_any());
    if context.passes == 0 {
        return Ok(Action::await_change());
    }
    let rollbacks = context.live.within::<FrameworkRollback>(&namespace);
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

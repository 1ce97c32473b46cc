//! The live reads of the operator's reconciles, past the caches and one after the other, as its gatherer makes them
//! (operator/manager/src/gather.cpp). Nothing is decided from what they say.
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::{
    apps::v1::Deployment,
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    batch::v1::Job,
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::api::{ListParams, PostParams};
use kube::core::Selector;
use kube::runtime::controller::Action;
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::watch;

use crate::types::*;

pub struct Live {
    pub client: Client,
    /// Caches that are not filled yet: until none is, no reconcile begins, as in the operator.
    pub unfilled: watch::Receiver<usize>,
    /// Namespaces whose rights were asked for: once, as the operator remembers them for half a minute.
    pub asked: Mutex<HashSet<String>>,
}

impl Live {
    pub fn within<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn filled(&self) {
        let _ = self.unfilled.clone().wait_for(|caches| *caches == 0).await;
    }

    async fn rights(&self, namespace: &str) -> kube::Result<()> {
        if self.asked.lock().unwrap().insert(namespace.into()) {
            let jobs = ResourceAttributes {
                namespace: Some(namespace.into()),
                verb: Some("create".into()),
                group: Some("batch".into()),
                resource: Some("jobs".into()),
                ..Default::default()
            };
            let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(jobs), ..Default::default() };
            let review = SelfSubjectAccessReview { spec, ..Default::default() };
            Api::all(self.client.clone()).create(&PostParams::default(), &review).await?;
        }
        Ok(())
    }

    pub async fn class(&self, framework: &Framework) -> kube::Result<FrameworkClass> {
        Api::all(self.client.clone()).get(&framework.spec.class_ref.name).await
    }

    pub async fn repository(&self, namespace: &str, name: &str) -> kube::Result<()> {
        let repository = self.within::<BackupRepository>(namespace).get(name).await?;
        self.claim(namespace, &repository).await
    }

    async fn claim(&self, namespace: &str, repository: &BackupRepository) -> kube::Result<()> {
        self.within::<PersistentVolumeClaim>(namespace).get(&repository.spec.volume.persistent_volume_claim.claim_name).await?;
        Ok(())
    }

    /// The Jobs of `owner` and their pods.
    pub async fn owned<K: Resource>(&self, namespace: &str, owner: &K) -> kube::Result<()> {
        let owned = ListParams::default().labels(&format!("rollback.pa-ecosystem.io/owner-uid={}", owner.uid().unwrap_or_default()));
        self.within::<Job>(namespace).list(&owned).await?;
        self.within::<Pod>(namespace).list(&owned).await?;
        Ok(())
    }

    pub async fn workloads(&self, namespace: &str, framework: &Framework) -> kube::Result<()> {
        for component in &framework.spec.components {
            let deployment = self.within::<Deployment>(namespace).get(&component.workload_ref.name).await?;
            let selector: Selector = deployment.spec.and_then(|spec| spec.selector.match_labels).unwrap_or_default().into_iter().collect();
            self.within::<Pod>(namespace).list(&ListParams::default().labels_from(&selector)).await?;
        }
        Ok(())
    }
}

pub async fn framework(seen: Arc<Framework>, live: &Live) -> kube::Result<()> {
    live.filled().await;
    let namespace = seen.namespace().unwrap_or_default();
    let framework = live.within::<Framework>(&namespace).get(&seen.name_any()).await?;
    live.rights(&namespace).await?;
    live.class(&framework).await?;
    live.owned(&namespace, &framework).await?;
    live.workloads(&namespace, &framework).await
}

pub async fn backup(seen: Arc<FrameworkBackup>, live: Arc<Live>) -> kube::Result<Action> {
    live.filled().await;
    let namespace = seen.namespace().unwrap_or_default();
    let backup = live.within::<FrameworkBackup>(&namespace).get(&seen.name_any()).await?;
    live.rights(&namespace).await?;
    live.within::<Framework>(&namespace).get(&backup.spec.framework_ref.name).await?;
    live.owned(&namespace, &backup).await?;
    Ok(Action::await_change())
}

pub async fn repository(seen: Arc<BackupRepository>, live: Arc<Live>) -> kube::Result<Action> {
    live.filled().await;
    let namespace = seen.namespace().unwrap_or_default();
    let repository = live.within::<BackupRepository>(&namespace).get(&seen.name_any()).await?;
    live.rights(&namespace).await?;
    live.claim(&namespace, &repository).await?;
    live.owned(&namespace, &repository).await?;
    Ok(Action::await_change())
}

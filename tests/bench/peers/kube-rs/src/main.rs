//! What the benches caches and events run beside rollback-operator: its nine watches, caches and four controllers, as one writes them on
//! kube-rs. Types are k8s-openapi's where there are some, and few fields of ours (types.rs); managed fields are not kept. A reconcile
//! makes the live reads of the operator's and decides nothing (reads.rs); one of a rollback does nothing, or, with PASSES, makes its
//! requests (pass.rs).
//!
//!     kube-rs-peer URL FRAMEWORKS [WORKERS [PASSES STATUS-BYTES]]
//!
//! It says "synced <ms>" when all caches are filled, and "reconciled <ms>" when as many Frameworks as are expected were reconciled.
mod pass;
mod reads;
mod types;

use std::collections::HashSet;
use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    batch::v1::Job,
    core::v1::Pod,
};
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

use reads::Live;
use types::*;

/// Makes caches, and says "synced" when all are filled. (Not by `Store::wait_until_ready`: of two tasks that wait for one store kube 2.0
/// wakes the last one only, and a controller waits for its own.)
struct Caches {
    client: Client,
    started: Instant,
    unfilled: watch::Sender<usize>,
}

impl Caches {
    /// A cache of what `config` selects, and the stream that fills it.
    fn of<K>(self: &Arc<Self>, config: watcher::Config) -> (Store<K>, impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + use<K>)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        self.unfilled.send_modify(|unfilled| *unfilled += 1);
        let (store, writer) = reflector::store();
        let (caches, mut filled) = (self.clone(), false);
        let stream = watcher(Api::all(self.client.clone()), config)
            .default_backoff()
            .modify(|object: &mut K| object.meta_mut().managed_fields = None)
            .reflect(writer)
            .inspect_ok(move |event| {
                if matches!(event, watcher::Event::InitDone) && !std::mem::replace(&mut filled, true) {
                    caches.unfilled.send_modify(|unfilled| {
                        *unfilled -= 1;
                        if *unfilled == 0 {
                            println!("synced {}", caches.started.elapsed().as_millis());
                        }
                    });
                }
            });
        (store, stream)
    }
}

/// The Framework that names a workload; kube-rs has no indexes.
fn naming<K: Resource>(frameworks: &Store<Framework>, kind: &str, workload: &K) -> Option<ObjectRef<Framework>> {
    let (namespace, name) = (&workload.meta().namespace, workload.meta().name.as_deref()?);
    frameworks
        .find(|framework| {
            let mut components = framework.spec.components.iter().map(|component| &component.workload_ref);
            framework.metadata.namespace == *namespace && components.any(|reference| reference.name == name && reference.kind == kind)
        })
        .map(|framework| ObjectRef::from_obj(&*framework))
}

/// Whom a Job or a pod works for.
fn rollback_of<K: Resource>(owned: K) -> Option<ObjectRef<FrameworkRollback>> {
    let labels = owned.meta().labels.as_ref()?;
    let name = labels
        .get("rollback.pa-ecosystem.io/owner-name")
        .filter(|_| labels.get("rollback.pa-ecosystem.io/owner-kind").is_some_and(|kind| kind == "FrameworkRollback"))?;
    Some(ObjectRef::new(name).within(owned.meta().namespace.as_deref()?))
}

fn again<K, C>(_: Arc<K>, error: &kube::Error, _: Arc<C>) -> Action {
    eprintln!("reconcile failed, will be retried: {error}");
    Action::requeue(Duration::from_secs(1))
}

/// Says "reconciled" when as many Frameworks as are expected were.
struct Counting {
    live: Arc<Live>,
    started: Instant,
    expect: usize,
    seen: Mutex<HashSet<ObjectRef<Framework>>>,
}

async fn count(framework: Arc<Framework>, context: Arc<Counting>) -> kube::Result<Action> {
    reads::framework(framework.clone(), &context.live).await?;
    let mut seen = context.seen.lock().unwrap();
    if seen.len() < context.expect && seen.insert(ObjectRef::from_obj(&*framework)) && seen.len() == context.expect {
        println!("reconciled {}", context.started.elapsed().as_millis());
    }
    Ok(Action::await_change())
}

/// Runs a controller for ever.
fn run<K, C, F>(
    tasks: &mut JoinSet<()>,
    workers: u16,
    controller: Controller<K>,
    reconcile: impl FnMut(Arc<K>, Arc<C>) -> F + Send + 'static,
    context: Arc<C>,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    C: Send + Sync + 'static,
    F: Future<Output = kube::Result<Action>> + Send + 'static,
{
    let config = controller::Config::default().concurrency(workers);
    tasks.spawn(controller.with_config(config).run(reconcile, again, context).for_each(|_| std::future::ready(())));
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let started = Instant::now();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise: usize| args.get(at).map_or(Ok(otherwise), |text| text.parse());
    let url = args.first().context("kube-rs-peer URL FRAMEWORKS [WORKERS [PASSES STATUS-BYTES]]")?;
    let (expect, workers) = (number(1, 0)?, number(2, 4)? as u16); // of each controller, as many as the operator's
    let client = Client::try_from(Config::new(url.parse()?))?;

    let caches = Arc::new(Caches { client: client.clone(), started, unfilled: watch::Sender::new(0) });
    let live = Arc::new(Live { client, unfilled: caches.unfilled.subscribe(), asked: Mutex::default() });
    let all = watcher::Config::default;
    let ours = || all().labels("app.kubernetes.io/managed-by=framework-rollback-operator");
    let (frameworks, framework_events) = caches.of::<Framework>(all());
    let (rollbacks, rollback_events) = caches.of::<FrameworkRollback>(all());
    let (backups, backup_events) = caches.of::<FrameworkBackup>(all());
    let (repositories, repository_events) = caches.of::<BackupRepository>(all());
    let (_classes, class_events) = caches.of::<FrameworkClass>(all());
    let (_jobs, job_events) = caches.of::<Job>(ours());
    let (_pods, pod_events) = caches.of::<Pod>(ours());
    let (_deployments, deployment_events) = caches.of::<Deployment>(all());
    let (_stateful_sets, stateful_set_events) = caches.of::<StatefulSet>(all());

    let mut tasks = JoinSet::new();
    let (for_class, for_deployment, for_stateful_set) = (frameworks.clone(), frameworks.clone(), frameworks.clone());
    let controller = Controller::for_stream(framework_events.applied_objects(), frameworks.clone())
        .watches_stream(class_events.touched_objects(), move |class: FrameworkClass| {
            let mut users = for_class.state();
            users.retain(|framework| framework.spec.class_ref.name == class.name_any());
            users.into_iter().map(|framework| ObjectRef::from_obj(&*framework))
        })
        .watches_stream(deployment_events.touched_objects(), move |it: Deployment| naming(&for_deployment, "Deployment", &it))
        .watches_stream(stateful_set_events.touched_objects(), move |it: StatefulSet| naming(&for_stateful_set, "StatefulSet", &it));
    let counting = Counting { live: live.clone(), started, expect, seen: Mutex::default() };
    run(&mut tasks, workers, controller, count, Arc::new(counting));
    let controller = Controller::for_stream(rollback_events.applied_objects(), rollbacks)
        .watches_stream(job_events.touched_objects(), rollback_of::<Job>)
        .watches_stream(pod_events.touched_objects(), rollback_of::<Pod>);
    let passes = pass::Passes { live: live.clone(), passes: number(3, 0)?, status_bytes: number(4, 0)? };
    run(&mut tasks, workers, controller, pass::reconcile, Arc::new(passes));
    run(&mut tasks, workers, Controller::for_stream(backup_events.applied_objects(), backups), reads::backup, live.clone());
    run(&mut tasks, workers, Controller::for_stream(repository_events.applied_objects(), repositories), reads::repository, live);

    tasks.join_all().await;
    Ok(())
}

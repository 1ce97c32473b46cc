// What the benches caches and events run beside rollback-operator: its nine watches, caches and four controllers, as one writes them on
// controller-runtime. Types are Go's own where there are some, and few fields of ours (types.go); managed fields are not kept. A
// reconcile makes the live reads of the operator's and decides nothing (reads.go); one of a rollback does nothing, or, with -passes, makes
// its requests (pass.go).
//
//	controller-runtime-peer -server http://127.0.0.1:8901 -expect 1000
//
// It says "synced <ms>" when all caches are filled, and "reconciled <ms>" when as many Frameworks as are expected were reconciled.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metrics "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	byClass    = "class"
	byWorkload = "workload"
)

// ours selects the Jobs and pods that an operator made.
var ours = cache.ByObject{Label: labels.SelectorFromSet(labels.Set{"app.kubernetes.io/managed-by": "framework-rollback-operator"})}

func workload(kind, name string) string { return kind + "/" + name }

// frameworksBy finds the Frameworks that name a changed object.
func frameworksBy(c client.Reader, index string, value func(client.Object) string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) (out []reconcile.Request) {
		var found List[FrameworkSpec, None]
		if err := c.List(ctx, &found, client.InNamespace(o.GetNamespace()), client.MatchingFields{index: value(o)}); err != nil {
			return nil
		}
		for i := range found.Items {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&found.Items[i])})
		}
		return out
	})
}

// rollbackOf is whom a Job or a pod works for.
func rollbackOf(_ context.Context, o client.Object) []reconcile.Request {
	l := o.GetLabels()
	if l["rollback.pa-ecosystem.io/owner-kind"] != "FrameworkRollback" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: l["rollback.pa-ecosystem.io/owner-name"]}}}
}

func nothing(context.Context, reconcile.Request) (reconcile.Result, error) {
	return reconcile.Result{}, nil
}

// counting reconciles, and calls done when `expect` different objects were.
func counting(expect int, reconciles reconcile.Func, done func()) reconcile.Func {
	var mu sync.Mutex
	seen := map[types.NamespacedName]bool{}
	return func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
		if result, err := reconciles(ctx, r); err != nil {
			return result, err
		}
		mu.Lock()
		defer mu.Unlock()
		if before := len(seen); before < expect {
			if seen[r.NamespacedName] = true; len(seen) > before && len(seen) == expect {
				done()
			}
		}
		return reconcile.Result{}, nil
	}
}

func run(started time.Time) error {
	server := flag.String("server", "", "URL of the API server")
	expect := flag.Int("expect", 0, "Frameworks there are")
	workers := flag.Int("workers", 4, "of each controller, as many as the operator's")
	passes := flag.Int("passes", 0, "a rollback takes, each with its reads and one write; 0: its reconcile does nothing")
	statusBytes := flag.Int("status-bytes", 0, "of a rollback's status at its end; it grows evenly")
	flag.Parse()
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	say := func(what string) { fmt.Printf("%s %d\n", what, time.Since(started).Milliseconds()) }

	addToScheme(scheme.Scheme)
	mgr, err := ctrl.NewManager(&rest.Config{
		Host:          *server,
		QPS:           -1,                                                  // no throttle of its own: nor have the others
		ContentConfig: rest.ContentConfig{ContentType: "application/json"}, // the server takes nothing else
	}, ctrl.Options{
		Scheme:  scheme.Scheme,
		Metrics: metrics.Options{BindAddress: "0"},
		Cache: cache.Options{
			ByObject:         map[client.Object]cache.ByObject{&batchv1.Job{}: ours, &corev1.Pod{}: ours},
			DefaultTransform: cache.TransformStripManagedFields(),
		},
		Controller: config.Controller{MaxConcurrentReconciles: *workers},
	})
	if err != nil {
		return err
	}
	ctx := ctrl.SetupSignalHandler()
	for _, o := range []client.Object{&Framework{}, &FrameworkRollback{}, &FrameworkBackup{}, &BackupRepository{}, &FrameworkClass{},
		&batchv1.Job{}, &corev1.Pod{}, &appsv1.Deployment{}, &appsv1.StatefulSet{}} {
		if _, err := mgr.GetCache().GetInformer(ctx, o, cache.BlockUntilSynced(false)); err != nil {
			return err
		}
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &Framework{}, byClass, func(o client.Object) []string {
		return []string{o.(*Framework).Spec.ClassRef.Name}
	}); err != nil {
		return err
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &Framework{}, byWorkload, func(o client.Object) (out []string) {
		for _, c := range o.(*Framework).Spec.Components {
			out = append(out, workload(c.WorkloadRef.Kind, c.WorkloadRef.Name))
		}
		return out
	}); err != nil {
		return err
	}
	api := &live{reader: mgr.GetAPIReader(), writer: mgr.GetClient(), filled: make(chan struct{})}
	if err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		if mgr.GetCache().WaitForCacheSync(ctx) {
			say("synced")
			close(api.filled)
		}
		return nil
	})); err != nil {
		return err
	}

	var rollbacks reconcile.Reconciler = reconcile.Func(nothing)
	if *passes > 0 {
		rollbacks = &rollbackPasses{live: api, status: mgr.GetClient().Status(), passes: *passes, statusBytes: *statusBytes}
	}
	name := func(o client.Object) string { return o.GetName() }
	of := func(kind string) func(client.Object) string {
		return func(o client.Object) string { return workload(kind, o.GetName()) }
	}
	if err := ctrl.NewControllerManagedBy(mgr).For(&Framework{}).
		Watches(&FrameworkClass{}, frameworksBy(mgr.GetClient(), byClass, name)).
		Watches(&appsv1.Deployment{}, frameworksBy(mgr.GetClient(), byWorkload, of("Deployment"))).
		Watches(&appsv1.StatefulSet{}, frameworksBy(mgr.GetClient(), byWorkload, of("StatefulSet"))).
		Complete(counting(*expect, reading(api, readFramework), func() { say("reconciled") })); err != nil {
		return err
	}
	if err := ctrl.NewControllerManagedBy(mgr).For(&FrameworkRollback{}).
		Watches(&batchv1.Job{}, handler.EnqueueRequestsFromMapFunc(rollbackOf)).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(rollbackOf)).
		Complete(rollbacks); err != nil {
		return err
	}
	if err := ctrl.NewControllerManagedBy(mgr).For(&FrameworkBackup{}).Complete(reading(api, readBackup)); err != nil {
		return err
	}
	if err := ctrl.NewControllerManagedBy(mgr).For(&BackupRepository{}).Complete(reading(api, readRepository)); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func main() {
	if err := run(time.Now()); err != nil {
		log.Fatal(err)
	}
}

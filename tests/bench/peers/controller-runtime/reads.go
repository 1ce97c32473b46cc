package main

import (
	"context"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// live is the API server past the caches.
type live struct {
	reader client.Reader
	writer client.Writer
	asked  sync.Map      // namespaces whose rights were asked for: once, as the operator remembers them for half a minute
	filled chan struct{} // closed when all caches are filled: before that no reconcile begins, as in the operator
}

// reads are those of one reconcile, one after the other. After one that fails no more are made.
type reads struct {
	*live
	ctx       context.Context
	namespace string
	err       error
}

func (r *reads) get(o client.Object, name string) {
	if r.err == nil {
		r.err = r.reader.Get(r.ctx, client.ObjectKey{Namespace: r.namespace, Name: name}, o)
	}
}

func (r *reads) list(l client.ObjectList, labels client.MatchingLabels) {
	if r.err == nil {
		r.err = r.reader.List(r.ctx, l, client.InNamespace(r.namespace), labels)
	}
}

func (r *reads) rights() {
	if r.err != nil {
		return
	}
	if _, known := r.asked.LoadOrStore(r.namespace, true); !known {
		r.err = r.writer.Create(r.ctx, &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: r.namespace, Verb: "create", Group: "batch", Resource: "jobs"}}})
	}
}

func (r *reads) repository(name string) {
	var repository BackupRepository
	r.get(&repository, name)
	r.claim(&repository)
}

func (r *reads) claim(repository *BackupRepository) {
	r.get(&corev1.PersistentVolumeClaim{}, repository.Spec.Volume.PersistentVolumeClaim.ClaimName)
}

// owned: the Jobs of `owner` and their pods.
func (r *reads) owned(owner types.UID) {
	label := client.MatchingLabels{"rollback.pa-ecosystem.io/owner-uid": string(owner)}
	r.list(&batchv1.JobList{}, label)
	r.list(&corev1.PodList{}, label)
}

func (r *reads) workloads(framework *Framework) {
	for _, component := range framework.Spec.Components {
		var deployment appsv1.Deployment
		if r.get(&deployment, component.WorkloadRef.Name); r.err == nil {
			r.list(&corev1.PodList{}, deployment.Spec.Selector.MatchLabels)
		}
	}
}

// What the operator's gatherer reads (operator/manager/src/gather.cpp), in its order, for a reconcile of each kind that decides nothing.

func readFramework(r *reads, name string) {
	var framework Framework
	r.get(&framework, name)
	r.rights()
	r.get(&FrameworkClass{}, framework.Spec.ClassRef.Name)
	r.owned(framework.UID)
	r.workloads(&framework)
}

func readBackup(r *reads, name string) {
	var backup FrameworkBackup
	var framework Framework
	r.get(&backup, name)
	r.rights()
	r.get(&framework, backup.Spec.FrameworkRef.Name)
	r.owned(backup.UID)
}

func readRepository(r *reads, name string) {
	var repository BackupRepository
	r.get(&repository, name)
	r.rights()
	r.claim(&repository)
	r.owned(repository.UID)
}

// reading is a reconcile that does nothing but read.
func reading(from *live, read func(*reads, string)) reconcile.Func {
	return func(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
		select {
		case <-from.filled:
		case <-ctx.Done():
			return reconcile.Result{}, nil
		}
		r := reads{live: from, ctx: ctx, namespace: request.Namespace}
		read(&r, request.Name)
		return reconcile.Result{}, client.IgnoreNotFound(r.err)
	}
}

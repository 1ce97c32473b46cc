package main

import (
	"context"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// rollbackPasses makes the requests of a rollback without what they decide: a pass reads live what the operator's gatherer does, then writes
// the rollback's status, whose event brings the next pass. In its first half, until the operator has staged, a pass reads
// repository and claim, too, in its first sixth, until the lock is taken, class, catalogue and ledger.
type rollbackPasses struct {
	live        client.Reader
	status      client.SubResourceWriter
	passes      int
	statusBytes int
}

func (p *rollbackPasses) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	var rollback FrameworkRollback
	if err := p.live.Get(ctx, r.NamespacedName, &rollback); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if rollback.Status.Phase == "Succeeded" {
		return reconcile.Result{}, nil
	}
	if err := p.gather(ctx, &rollback); err != nil {
		return reconcile.Result{}, err
	}
	done := rollback.Status.Passes + 1
	rollback.Status = RollbackStatus{Phase: "Running", Passes: done, Journal: strings.Repeat("j", p.statusBytes*done/p.passes)}
	if done == p.passes {
		rollback.Status.Phase = "Succeeded"
	}
	return reconcile.Result{}, p.status.Update(ctx, &rollback)
}

func (p *rollbackPasses) gather(ctx context.Context, rollback *FrameworkRollback) error {
	in := client.InNamespace(rollback.Namespace)
	get := func(o client.Object, namespace, name string) error {
		return p.live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, o)
	}
	var framework Framework
	if err := get(&framework, rollback.Namespace, rollback.Spec.FrameworkRef.Name); err != nil {
		return err
	}
	for _, component := range framework.Spec.Components {
		var deployment appsv1.Deployment
		if err := get(&deployment, rollback.Namespace, component.WorkloadRef.Name); err != nil {
			return err
		}
		if err := p.live.List(ctx, &corev1.PodList{}, in, client.MatchingLabels(deployment.Spec.Selector.MatchLabels)); err != nil {
			return err
		}
	}
	if rollback.Status.Passes*2 < p.passes {
		var repository BackupRepository
		if err := get(&repository, rollback.Namespace, framework.Spec.RepositoryRef.Name); err != nil {
			return err
		}
		if err := get(&corev1.PersistentVolumeClaim{}, rollback.Namespace, repository.Spec.Volume.PersistentVolumeClaim.ClaimName); err != nil {
			return err
		}
	}
	owned := client.MatchingLabels{"rollback.pa-ecosystem.io/owner-uid": string(rollback.UID)}
	if err := p.live.List(ctx, &batchv1.JobList{}, in, owned); err != nil {
		return err
	}
	if err := p.live.List(ctx, &corev1.PodList{}, in, owned); err != nil {
		return err
	}
	if rollback.Status.Passes*6 >= p.passes {
		return nil
	}
	if err := get(&FrameworkClass{}, "", framework.Spec.ClassRef.Name); err != nil {
		return err
	}
	if err := p.live.List(ctx, &List[BackupSpec, BackupStatus]{}, in); err != nil {
		return err
	}
	return client.IgnoreNotFound(get(&corev1.ConfigMap{}, rollback.Namespace, "frb-ledger-"+rollback.Name)) // never there
}

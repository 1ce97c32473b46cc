package main

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// rollbackPasses makes the requests of a rollback without what they decide: a pass reads live what the operator's gatherer does, then writes
// the rollback's status, whose event brings the next pass. In its first half, until the operator has staged, a pass reads
// repository and claim, too, in its first sixth, until the lock is taken, class, catalogue and ledger.
type rollbackPasses struct {
	live        *live
	status      client.SubResourceWriter
	passes      int
	statusBytes int
}

func (p *rollbackPasses) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	r := reads{live: p.live, ctx: ctx, namespace: request.Namespace}
	var rollback FrameworkRollback
	if r.get(&rollback, request.Name); r.err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(r.err)
	}
	if rollback.Status.Phase == "Succeeded" {
		return reconcile.Result{}, nil
	}
	if p.gather(&r, &rollback); r.err != nil {
		return reconcile.Result{}, r.err
	}
	done := rollback.Status.Passes + 1
	rollback.Status = RollbackStatus{Phase: "Running", Passes: done, Journal: strings.Repeat("j", p.statusBytes*done/p.passes)}
	if done == p.passes {
		rollback.Status.Phase = "Succeeded"
	}
	return reconcile.Result{}, p.status.Update(ctx, &rollback)
}

func (p *rollbackPasses) gather(r *reads, rollback *FrameworkRollback) {
	var framework Framework
	r.get(&framework, rollback.Spec.FrameworkRef.Name)
	r.workloads(&framework)
	if rollback.Status.Passes*2 < p.passes {
		r.repository(framework.Spec.RepositoryRef.Name)
	}
	r.owned(rollback.UID)
	if rollback.Status.Passes*6 >= p.passes {
		return
	}
	r.get(&FrameworkClass{}, framework.Spec.ClassRef.Name)
	r.list(&List[BackupSpec, BackupStatus]{}, nil)
	if r.err == nil {
		r.get(&corev1.ConfigMap{}, "frb-ledger-"+rollback.Name) // never there
		r.err = client.IgnoreNotFound(r.err)
	}
}

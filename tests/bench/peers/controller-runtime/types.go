package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Our kinds, as far as a peer looks into them; what it does not name it does not keep. (The operator keeps all of them.)

type Named struct {
	Name string `json:"name"`
}

type FrameworkSpec struct {
	ClassRef      Named       `json:"classRef"`
	RepositoryRef Named       `json:"repositoryRef"`
	Components    []Component `json:"components"`
}

type Component struct {
	Name        string `json:"name"`
	Container   string `json:"container"`
	WorkloadRef struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"workloadRef"`
}

type RollbackSpec struct {
	FrameworkRef Named  `json:"frameworkRef"`
	Reason       string `json:"reason"`
	Mode         string `json:"mode"`
}

// Passes and Journal are the bench's own.
type RollbackStatus struct {
	Phase   string `json:"phase,omitempty"`
	Passes  int    `json:"passes,omitempty"`
	Journal string `json:"journal,omitempty"`
}

type BackupSpec struct {
	FrameworkRef Named  `json:"frameworkRef"`
	Reason       string `json:"reason"`
}

type BackupStatus struct {
	Phase   string `json:"phase,omitempty"`
	Version string `json:"version,omitempty"`
	Path    string `json:"path,omitempty"`
	Digest  string `json:"digest,omitempty"`
}

type RepositorySpec struct {
	Volume struct {
		PersistentVolumeClaim struct {
			ClaimName string `json:"claimName"`
		} `json:"persistentVolumeClaim"`
	} `json:"volume"`
}

type ClassSpec struct {
	Components []Named `json:"components"`
	Stores     []Named `json:"stores"`
}

type (
	None              struct{}
	Framework         = Resource[FrameworkSpec, None]
	FrameworkRollback = Resource[RollbackSpec, RollbackStatus]
	FrameworkBackup   = Resource[BackupSpec, BackupStatus]
	BackupRepository  = Resource[RepositorySpec, None]
	FrameworkClass    = Resource[ClassSpec, None]
)

// Resource is any of them. Spec and Status are replaced, never changed in place: copies share what they point to.
type Resource[Spec, Status any] struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              Spec   `json:"spec"`
	Status            Status `json:"status,omitzero"`
}

func (r *Resource[Spec, Status]) DeepCopyObject() runtime.Object {
	out := *r
	out.ObjectMeta = *r.ObjectMeta.DeepCopy()
	return &out
}

type List[Spec, Status any] struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Resource[Spec, Status] `json:"items"`
}

func (l *List[Spec, Status]) DeepCopyObject() runtime.Object {
	out := *l
	out.ListMeta = *l.ListMeta.DeepCopy()
	out.Items = make([]Resource[Spec, Status], len(l.Items))
	for i := range l.Items {
		out.Items[i] = *l.Items[i].DeepCopyObject().(*Resource[Spec, Status])
	}
	return &out
}

func register[Spec, Status any](scheme *runtime.Scheme, kind string) {
	group := schema.GroupVersion{Group: "rollback.pa-ecosystem.io", Version: "v1alpha1"}
	scheme.AddKnownTypeWithName(group.WithKind(kind), &Resource[Spec, Status]{})
	scheme.AddKnownTypeWithName(group.WithKind(kind+"List"), &List[Spec, Status]{})
	metav1.AddToGroupVersion(scheme, group)
}

func addToScheme(scheme *runtime.Scheme) {
	register[FrameworkSpec, None](scheme, "Framework")
	register[RollbackSpec, RollbackStatus](scheme, "FrameworkRollback")
	register[BackupSpec, BackupStatus](scheme, "FrameworkBackup")
	register[RepositorySpec, None](scheme, "BackupRepository")
	register[ClassSpec, None](scheme, "FrameworkClass")
}

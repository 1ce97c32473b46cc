package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// The rest of a cluster, with no time of its own: a Job that is not suspended has a pod at once, the pod does at once what the mover
// would (with a model of a database in place of a real one), a Deployment's pods follow its replicas. What is measured is then the
// operator alone.
type driver struct {
	store *store
	queue chan func()
	mu    sync.Mutex // guards bases
	bases map[string]*base
}

// The database of one namespace's framework.
type base struct {
	oids map[string]int // name → OID
	next int
	is   map[int]string // OID → version of its content
}

func startDriver(s *store) {
	d := &driver{store: s, queue: make(chan func(), 1<<20), bases: map[string]*base{}}
	s.hook = func(resource string, e event) { // with the store's lock held: only queue
		if e.kind == "DELETED" {
			if resource == "batch/jobs" {
				d.queue <- func() { d.podsGone(e.obj) }
			}
			return
		}
		switch resource {
		case "batch/jobs":
			d.queue <- func() { d.job(e.obj.key) }
		case "/pods":
			if e.obj.labels["batch.kubernetes.io/job-name"] != "" {
				d.queue <- func() { d.pod(e.obj.key) }
			}
		case "apps/deployments":
			d.queue <- func() { d.deployment(e.obj.key) }
		}
	}
	go func() {
		for work := range d.queue {
			work()
		}
	}()
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

func (d *driver) podsGone(job *version) {
	ns, name, _ := strings.Cut(job.key, "/")
	pods, _, _ := d.store.list("/pods", ns, func(l map[string]string) bool { return l["batch.kubernetes.io/job-name"] == name }, "", 0)
	for _, p := range pods {
		d.store.remove("/pods", p.key, "")
	}
}

func (d *driver) job(key string) {
	v := d.store.get("batch/jobs", key)
	if v == nil || child(v.doc, "spec")["suspend"] == true || child(v.doc, "status")["startTime"] != nil {
		return
	}
	ns, name, _ := strings.Cut(key, "/")
	_, f := d.store.update("batch/jobs", key, func(o object) *failure {
		o["status"] = object{"active": float64(1), "startTime": now()}
		return nil
	})
	if f != nil {
		return
	}
	template := copyOf(child(v.doc, "spec", "template")).(object)
	m := meta(template)
	labels, _ := m["labels"].(object)
	if labels == nil {
		labels = object{}
	}
	labels["batch.kubernetes.io/job-name"] = name
	annotations, _ := m["annotations"].(object)
	d.store.create("/pods", object{"kind": "Pod", "apiVersion": "v1", "spec": template["spec"],
		"metadata": object{"name": name + "-x", "namespace": ns, "labels": labels, "annotations": annotations,
			"ownerReferences": []any{object{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": text(v.doc, "metadata", "uid"), "controller": true}}},
		"status": object{"phase": "Running", "containerStatuses": []any{object{"name": "mover", "ready": true, "restartCount": float64(0),
			"image": "x", "imageID": "", "state": object{"running": object{"startedAt": now()}}}}}})
}

func (d *driver) pod(key string) {
	v := d.store.get("/pods", key)
	if v == nil || text(v.doc, "status", "phase") != "Running" {
		return
	}
	annotations := child(v.doc, "metadata", "annotations")
	task := object{}
	if raw, ok := annotations["rollback.pa-ecosystem.io/task"].(string); ok {
		_ = json.Unmarshal([]byte(raw), &task)
	}
	message, done := "", true
	if verb, _ := task["verb"].(string); verb != "" {
		ns, _, _ := strings.Cut(key, "/")
		message, done = d.mover(ns, verb, task, annotations)
	}
	if !done {
		return
	}
	ended := object{"exitCode": float64(0), "reason": "Completed", "message": message, "finishedAt": now()}
	d.store.update("/pods", key, func(o object) *failure {
		o["status"] = object{"phase": "Succeeded", "containerStatuses": []any{object{"name": "mover", "ready": false, "restartCount": float64(0),
			"image": "x", "imageID": "", "state": object{"terminated": ended}}}}
		return nil
	})
	d.store.update("batch/jobs", strings.Split(key, "/")[0]+"/"+v.labels["batch.kubernetes.io/job-name"], func(o object) *failure {
		o["status"] = object{"succeeded": float64(1), "startTime": now(), "completionTime": now(),
			"conditions": []any{object{"type": "Complete", "status": "True", "lastTransitionTime": now()}}}
		return nil
	})
}

func (d *driver) baseOf(ns, name string) *base {
	key := ns + "/" + name
	b := d.bases[key]
	if b == nil {
		b = &base{oids: map[string]int{name: 16385}, next: 20000, is: map[int]string{16385: "2.0.0"}}
		d.bases[key] = b
	}
	return b
}

func digestOf(version string) string { return "sha256:schema-" + version }

// What docs/mover.md says each verb reports.
func (d *driver) mover(ns, verb string, task, annotations object) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	live := text(task, "postgres", "database")
	b := d.baseOf(ns, live)
	schema := func(version string) object {
		return object{"state": "Known", "count": 2, "digest": digestOf(version), "structureDigest": digestOf(version)}
	}
	var result object
	switch verb {
	case "inspect":
		at := b.is[b.oids[live]]
		result = object{"server": object{"version": "15.18", "versionNum": 150018, "systemIdentifier": "7000"},
			"tools": object{"version": "15.18", "versionNum": 150018},
			"live": object{"name": live, "oid": b.oids[live], "sizeBytes": 1000, "owner": "shop", "allowConnections": true, "schema": schema(at),
				"tables": []any{object{"name": "public.orders", "rows": 120}}},
			"databases": []any{}, "role": object{"name": "shop", "superuser": false, "createdb": true, "ownsLive": true, "canRename": true},
			"space": object{"known": true, "required": 1000, "available": 1000000}, "blockers": []any{}, "sessions": []any{}, "keys": []any{}}
		if repository := child(task, "repository"); repository != nil {
			relation, missing := "Different", []any{"drop_note"}
			if at == "1.0.0" {
				relation, missing = "Equal", []any{}
			}
			result["backup"] = object{"found": true, "complete": true, "digest": "sha256:backup", "sizeBytes": 500, "schemaRelation": relation, "missing": missing,
				"manifest": object{"framework": strings.SplitN(text(repository, "path"), "/", 2)[0], "current_version": "1.0.0", "createdAt": now(), "unsettled": false,
					"images": []any{object{"component": "main", "image": "localhost/demo-app:1.0.0", "imageID": ""}},
					"stores": []any{object{"name": "database", "schema": object{"count": 1, "digest": digestOf("1.0.0"), "structureDigest": digestOf("1.0.0")},
						"tables": []any{object{"name": "public.orders", "rows": 100}}}}}}
		}
	case "verify":
		result = object{"digest": "sha256:backup", "files": 3, "bytes": 500, "manifest": object{"framework": "shop"}}
	case "stage":
		b.next++
		b.oids[text(task, "names", "stage")] = b.next
		b.is[b.next] = "1.0.0"
		result = object{"stageOid": b.next, "liveOid": b.oids[live], "systemIdentifier": "7000", "rows": 100, "bytes": 1000, "seconds": 0}
	case "switch":
		if annotations["rollback.pa-ecosystem.io/go"] != task["token"] {
			return "", false
		}
		stage := text(task, "names", "stage")
		b.oids[text(task, "names", "prev")], b.oids[live] = b.oids[live], b.oids[stage]
		delete(b.oids, stage)
		result = object{"liveOid": b.oids[live], "prevOid": b.oids[text(task, "names", "prev")], "swappedAt": now(), "openedAt": now(), "milliseconds": 1}
	case "check":
		result = object{"health": []any{object{"name": "main/ready", "ok": true, "status": 200, "message": "200"}}, "schema": schema(b.is[b.oids[live]]),
			"invariants": []any{object{"name": "orders", "value": "100", "ok": true}}}
	default:
		result = object{"dropped": []any{}}
	}
	out, _ := json.Marshal(object{"outcome": "Succeeded", "code": "", "message": "", "token": task["token"], "result": result})
	return string(out), true
}

func (d *driver) deployment(key string) {
	v := d.store.get("apps/deployments", key)
	if v == nil {
		return
	}
	labels, _ := copyOf(child(v.doc, "spec", "selector", "matchLabels")).(object)
	if labels["driven"] != "true" { // one that is only there to be cached
		return
	}
	ns, name, _ := strings.Cut(key, "/")
	replicas, _ := child(v.doc, "spec")["replicas"].(float64)
	pods, _, _ := d.store.list("/pods", ns, selector("app="+name), "", 0)
	for i := int(replicas); i < len(pods); i++ {
		d.store.remove("/pods", pods[i].key, "")
	}
	for i := len(pods); i < int(replicas); i++ {
		template := copyOf(child(v.doc, "spec", "template", "spec")).(object)
		container, _ := template["containers"].([]any)[0].(object)
		d.store.create("/pods", object{"kind": "Pod", "apiVersion": "v1", "spec": template,
			"metadata": object{"generateName": name + "-", "namespace": ns, "labels": labels},
			"status": object{"phase": "Running", "conditions": []any{object{"type": "Ready", "status": "True", "lastTransitionTime": now()}},
				"containerStatuses": []any{object{"name": container["name"], "ready": true, "restartCount": float64(0), "image": container["image"], "imageID": "",
					"state": object{"running": object{"startedAt": now()}}}}}})
	}
	generation := meta(v.doc)["generation"]
	d.store.update("apps/deployments", key, func(o object) *failure {
		o["status"] = object{"observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas}
		return nil
	})
}

func frameworkDoc(ns, name string) object {
	return object{"kind": "Framework", "apiVersion": group + "/v1alpha1", "metadata": object{"name": name, "namespace": ns},
		"spec": object{"classRef": object{"name": "shop"}, "repositoryRef": object{"name": "backups"},
			"components": []any{object{"name": "main", "workloadRef": object{"kind": "Deployment", "name": name}, "container": "app", "serviceRef": object{"name": name}}},
			"stores": []any{object{"name": "database", "postgres": object{"host": "db", "port": float64(5432), "database": strings.ReplaceAll(name, "-", "_"),
				"credentialsSecretRef": object{"name": "db"}, "capacity": "5Gi", "tools": object{"image": "localhost/postgres:15"}}}},
			"policy": object{"approval": "NotRequired"}}}
}

// Preloads what both benches find: a class, namespaces, a repository each, frameworks with their Deployments and a backup each, and
// Deployments that nobody's framework names.
func preload(s *store, frameworks, deployments, perNamespace, bytes int) {
	s.create(group+"/frameworkclasses", object{"kind": "FrameworkClass", "apiVersion": group + "/v1alpha1", "metadata": object{"name": "shop"},
		"spec": object{"components": []any{object{"name": "main", "health": []any{object{"name": "alive", "http": object{"port": float64(8080), "path": "/healthz"}}}}},
			"stores": []any{object{"name": "database", "driver": "postgres", "schema": object{"query": "select name from migrations"},
				"checks": []any{object{"name": "orders", "query": "select count(*) from orders", "min": float64(1)}}}}}})
	for i := 0; i < frameworks; i++ {
		ns, name := fmt.Sprintf("team-%03d", i/perNamespace), fmt.Sprintf("shop-%04d", i)
		if i%perNamespace == 0 {
			s.create("/namespaces", object{"kind": "Namespace", "apiVersion": "v1", "metadata": object{"name": ns}})
			s.create("/persistentvolumeclaims", object{"kind": "PersistentVolumeClaim", "apiVersion": "v1", "metadata": object{"name": "backups", "namespace": ns}})
			s.create(group+"/backuprepositories", object{"kind": "BackupRepository", "apiVersion": group + "/v1alpha1",
				"metadata": object{"name": "backups", "namespace": ns}, "spec": object{"volume": object{"persistentVolumeClaim": object{"claimName": "backups"}}, "path": "/"}})
		}
		s.create("apps/deployments", deployment(ns, name, bytes, true))
		s.create(group+"/frameworks", frameworkDoc(ns, name))
		s.create(group+"/frameworkbackups", object{"kind": "FrameworkBackup", "apiVersion": group + "/v1alpha1",
			"metadata": object{"name": name + "-before", "namespace": ns}, "spec": object{"frameworkRef": object{"name": name}, "reason": "PreUpgrade"},
			"status": object{"phase": "Completed", "version": "1.0.0", "path": name + "/" + name + "-backup-20261124-020000", "digest": "sha256:backup",
				"createdAt": now(), "completedAt": now(), "verified": object{"at": now(), "level": "FullRead"}, "sizeBytes": float64(500),
				"images": []any{object{"component": "main", "image": "localhost/demo-app:1.0.0"}}}})
	}
	for i := frameworks; i < deployments; i++ {
		s.create("apps/deployments", deployment(fmt.Sprintf("team-%03d", i%100), fmt.Sprintf("app-%05d", i), bytes, false))
	}
}

// About `bytes` of what Deployments are made of: environment, annotations, managed fields.
func deployment(ns, name string, bytes int, driven bool) object {
	env := []any{}
	for i := 0; i < (bytes-2050)/100; i++ {
		env = append(env, object{"name": fmt.Sprintf("SETTING_%02d", i), "value": strings.Repeat("v", 65)})
	}
	fields := object{}
	for i := 0; i < 45; i++ {
		fields[fmt.Sprintf("f:field%02d", i)] = object{"f:nested": object{}}
	}
	labels := object{"app": name}
	if driven {
		labels["driven"] = "true"
	}
	return object{"kind": "Deployment", "apiVersion": "apps/v1",
		"metadata": object{"name": name, "namespace": ns, "labels": copyOf(labels), "annotations": object{"deployment.kubernetes.io/revision": "1"},
			"managedFields": []any{object{"manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1", "time": now(), "fieldsType": "FieldsV1", "fieldsV1": fields}}},
		"spec": object{"replicas": float64(1), "selector": object{"matchLabels": labels}, "template": object{"metadata": object{"labels": copyOf(labels)},
			"spec": object{"containers": []any{object{"name": "app", "image": "localhost/demo-app:2.0.0", "env": env,
				"ports": []any{object{"containerPort": float64(8080), "protocol": "TCP"}}}}}}},
		"status": object{"observedGeneration": float64(1), "replicas": float64(1), "updatedReplicas": float64(1), "readyReplicas": float64(1), "availableReplicas": float64(1)}}
}

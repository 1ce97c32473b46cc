package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What a path of the API names. "/apis/apps/v1/namespaces/demo/deployments/shop/scale"
type target struct {
	group, version, plural, namespace, name, sub string
}

func (t target) resource() string { return t.group + "/" + t.plural }
func (t target) key() string      { return t.namespace + "/" + t.name }
func (t target) apiVersion() string {
	if t.group == "" {
		return t.version
	}
	return t.group + "/" + t.version
}

func parse(path string) (t target, ok bool) {
	s := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(s) >= 3 && s[0] == "api":
		t.version, s = s[1], s[2:]
	case len(s) >= 4 && s[0] == "apis":
		t.group, t.version, s = s[1], s[2], s[3:]
	default:
		return t, false
	}
	if len(s) >= 3 && s[0] == "namespaces" {
		t.namespace, s = s[1], s[2:]
	}
	t.plural = s[0]
	if len(s) > 1 {
		t.name = s[1]
	}
	if len(s) > 2 {
		t.sub = s[2]
	}
	return t, true
}

// "a=b,c!=d,e in (f,g),h": as much of it as controllers use.
func selector(s string) func(map[string]string) bool {
	if s == "" {
		return func(map[string]string) bool { return true }
	}
	want := map[string]string{}
	var exists []string
	for _, each := range strings.Split(s, ",") {
		if k, v, found := strings.Cut(each, "="); found {
			want[k] = strings.TrimPrefix(v, "=")
		} else {
			exists = append(exists, each)
		}
	}
	return func(labels map[string]string) bool {
		for k, v := range want {
			if labels[k] != v {
				return false
			}
		}
		for _, k := range exists {
			if _, there := labels[k]; !there {
				return false
			}
		}
		return true
	}
}

type server struct {
	store *store
	seen  *seen
}

func (s *server) status(w http.ResponseWriter, f *failure) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.code)
	_ = json.NewEncoder(w).Encode(object{"kind": "Status", "apiVersion": "v1", "metadata": object{}, "status": "Failure",
		"message": f.text, "reason": f.reason, "code": f.code})
}

func write(w http.ResponseWriter, code int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/bench/") {
		s.seen.control(w, r)
		return
	}
	if discovery(w, r) {
		return
	}
	t, ok := parse(r.URL.Path)
	if !ok {
		s.status(w, fail(404, "NotFound", "no %s", r.URL.Path))
		return
	}
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	q := r.URL.Query()
	watching := r.Method == http.MethodGet && (q.Get("watch") == "true" || q.Get("watch") == "1")
	s.seen.request(r, t, body, watching)
	switch {
	case watching:
		s.watch(w, r, t)
	case r.Method == http.MethodGet && t.name == "":
		s.list(w, r, t)
	case r.Method == http.MethodGet && t.sub == "log":
		write(w, 200, []byte("FRB-PROGRESS {\"done\":0,\"total\":0,\"unit\":\"\",\"what\":\"waiting for go\"}\n"))
	case r.Method == http.MethodGet:
		v := s.store.get(t.resource(), t.key())
		if v == nil {
			s.status(w, fail(404, "NotFound", "%s %q not found", t.plural, t.name))
			return
		}
		write(w, 200, v.body)
	default:
		v, code, f := s.mutate(r, t, body)
		if f != nil {
			s.status(w, f)
			return
		}
		write(w, code, v)
	}
}

func (s *server) mutate(r *http.Request, t target, body []byte) ([]byte, int, *failure) {
	doc := object{}
	if len(body) > 0 && r.Header.Get("Content-Type") != "application/json-patch+json" {
		if err := json.Unmarshal(body, &doc); err != nil {
			return nil, 0, fail(400, "BadRequest", "%v", err)
		}
	}
	// A precondition in the body is compared; what the server decides is not taken from it.
	guard := func(now object) *failure {
		for _, field := range []string{"uid", "resourceVersion"} {
			if wanted := text(doc, "metadata", field); wanted != "" && wanted != text(now, "metadata", field) {
				return fail(409, "Conflict", "%s %s: %s is another", t.plural, t.name, field)
			}
		}
		return nil
	}
	switch r.Method {
	case http.MethodPost:
		if t.group == "authorization.k8s.io" {
			doc["status"] = object{"allowed": true}
			out, _ := json.Marshal(doc)
			return out, 201, nil
		}
		if t.namespace != "" {
			meta(doc)["namespace"] = t.namespace
		}
		v, f := s.store.create(t.resource(), doc)
		if f != nil {
			return nil, 0, f
		}
		return v.body, 201, nil
	case http.MethodPut:
		v, f := s.store.update(t.resource(), t.key(), func(now object) *failure {
			if f := guard(now); f != nil {
				return f
			}
			if t.sub == "status" {
				now["status"] = doc["status"]
				return nil
			}
			status := now["status"]
			for k := range now {
				delete(now, k)
			}
			for k, v := range doc {
				now[k] = v
			}
			if status != nil {
				now["status"] = status
			}
			return nil
		})
		if f != nil {
			return nil, 0, f
		}
		return v.body, 200, nil
	case http.MethodPatch:
		v, f := s.store.update(t.resource(), t.key(), func(now object) *failure {
			kind := strings.Split(r.Header.Get("Content-Type"), ";")[0]
			if kind == "application/json-patch+json" {
				return jsonPatch(now, body)
			}
			if f := guard(now); f != nil {
				return f
			}
			if kind == "application/strategic-merge-patch+json" {
				strategicPatch(now, doc)
			} else {
				mergePatch(now, doc)
			}
			return nil
		})
		if f != nil {
			return nil, 0, f
		}
		return v.body, 200, nil
	case http.MethodDelete:
		v, f := s.store.remove(t.resource(), t.key(), text(doc, "preconditions", "uid"))
		if f != nil {
			return nil, 0, f
		}
		return v.body, 200, nil
	}
	return nil, 0, fail(405, "MethodNotAllowed", "no %s", r.Method)
}

var kinds = map[string]string{
	"pods": "Pod", "configmaps": "ConfigMap", "namespaces": "Namespace", "deployments": "Deployment", "statefulsets": "StatefulSet", "jobs": "Job", "cronjobs": "CronJob",
	"frameworks": "Framework", "frameworkrollbacks": "FrameworkRollback", "frameworkbackups": "FrameworkBackup", "frameworkclasses": "FrameworkClass",
	"backuprepositories": "BackupRepository", "leases": "Lease", "events": "Event", "persistentvolumeclaims": "PersistentVolumeClaim",
	"horizontalpodautoscalers": "HorizontalPodAutoscaler", "selfsubjectaccessreviews": "SelfSubjectAccessReview",
}

// Pages of what is there now. (A real server's later pages are of the first one's instant; nothing changes while the benches list.)
func (s *server) list(w http.ResponseWriter, r *http.Request, t target) {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit"))
	after := ""
	if token := q.Get("continue"); token != "" {
		raw, _ := base64.RawURLEncoding.DecodeString(token)
		after = string(raw)
	}
	items, rv, more := s.store.list(t.resource(), t.namespace, selector(q.Get("labelSelector")), after, limit)
	m := object{"resourceVersion": strconv.FormatUint(rv, 10)}
	if more {
		m["continue"] = base64.RawURLEncoding.EncodeToString([]byte(items[len(items)-1].key))
	}
	head, _ := json.Marshal(m)
	var out bytes.Buffer
	fmt.Fprintf(&out, `{"kind":"%sList","apiVersion":"%s","metadata":%s,"items":[`, kinds[t.plural], t.apiVersion(), head)
	for i, v := range items {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(v.body)
	}
	out.WriteString("]}\n")
	// As the real one: only what is larger than 128 KiB, at the fastest level.
	if out.Len() > 128<<10 && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/json")
		z, _ := gzip.NewWriterLevel(w, 1)
		_, _ = z.Write(out.Bytes())
		_ = z.Close()
		return
	}
	write(w, 200, out.Bytes())
}

// Events after a version, bookmarks once a minute; with sendInitialEvents first all objects and the bookmark that ends them.
func (s *server) watch(w http.ResponseWriter, r *http.Request, t target) {
	q := r.URL.Query()
	match := selector(q.Get("labelSelector"))
	seconds, _ := strconv.Atoi(q.Get("timeoutSeconds"))
	if seconds == 0 {
		seconds = 1800
	}
	flusher := w.(http.Flusher)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(200)
	send := func(kind string, body []byte) {
		_, _ = io.WriteString(w, `{"type":"`+kind+`","object":`)
		_, _ = w.Write(body)
		_, _ = io.WriteString(w, "}\n")
	}
	bookmark := func(rv uint64, initial bool) {
		m := object{"resourceVersion": strconv.FormatUint(rv, 10), "creationTimestamp": nil}
		if initial {
			m["annotations"] = object{"k8s.io/initial-events-end": "true"}
		}
		body, _ := json.Marshal(object{"kind": kinds[t.plural], "apiVersion": t.apiVersion(), "metadata": m})
		send("BOOKMARK", body)
	}
	rv, _ := strconv.ParseUint(q.Get("resourceVersion"), 10, 64)
	if q.Get("sendInitialEvents") == "true" {
		items, at, _ := s.store.list(t.resource(), t.namespace, match, "", 0)
		for _, v := range items {
			send("ADDED", v.body)
		}
		bookmark(at, true)
		rv = at
	}
	flusher.Flush()
	mine := s.store.watch(t.resource(), rv)
	defer s.store.unwatch(t.resource(), mine)
	end := time.After(time.Duration(seconds) * time.Second)
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-mine.wake:
			events, _ := s.store.next(t.resource(), mine)
			for _, e := range events {
				if t.namespace != "" && !strings.HasPrefix(e.obj.key, t.namespace+"/") {
					continue
				}
				now, was := match(e.obj.labels), e.old != nil && match(e.old.labels)
				switch {
				case e.kind == "DELETED" && now:
					send("DELETED", e.obj.body)
				case e.kind == "DELETED":
				case now && was:
					send("MODIFIED", e.obj.body)
				case now:
					send("ADDED", e.obj.body)
				case was:
					send("DELETED", e.obj.body)
				}
			}
			flusher.Flush()
		case <-tick.C:
			if q.Get("allowWatchBookmarks") == "true" {
				now := s.store.version()
				bookmark(now, false)
				flusher.Flush()
			}
		case <-end:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// What clients ask before they know what there is.
func discovery(w http.ResponseWriter, r *http.Request) bool {
	groups := map[string][]string{
		"v1":                                {"pods", "configmaps", "namespaces", "events", "persistentvolumeclaims"},
		"apps/v1":                           {"deployments", "statefulsets"},
		"authorization.k8s.io/v1":           {"selfsubjectaccessreviews"},
		"autoscaling/v2":                    {"horizontalpodautoscalers"},
		"batch/v1":                          {"jobs", "cronjobs"},
		"coordination.k8s.io/v1":            {"leases"},
		"rollback.pa-ecosystem.io/v1alpha1": {"frameworks", "frameworkrollbacks", "frameworkbackups", "frameworkclasses", "backuprepositories"},
	}
	path := strings.Trim(r.URL.Path, "/")
	answer := func(o object) bool {
		body, _ := json.Marshal(o)
		write(w, 200, body)
		return true
	}
	switch path {
	case "version":
		return answer(object{"major": "1", "minor": "34", "gitVersion": "v1.34.0"})
	case "api":
		return answer(object{"kind": "APIVersions", "versions": []string{"v1"}})
	case "apis":
		list := []object{}
		for gv := range groups {
			if g, v, ok := strings.Cut(gv, "/"); ok {
				each := object{"groupVersion": gv, "version": v}
				list = append(list, object{"name": g, "versions": []object{each}, "preferredVersion": each})
			}
		}
		return answer(object{"kind": "APIGroupList", "apiVersion": "v1", "groups": list})
	}
	gv := strings.TrimPrefix(strings.TrimPrefix(path, "apis/"), "api/")
	plurals, known := groups[gv]
	if !known {
		if group, isGroup := strings.CutPrefix(path, "apis/"); isGroup && !strings.Contains(group, "/") {
			for each := range groups {
				if g, v, _ := strings.Cut(each, "/"); g == group && v != "" {
					one := object{"groupVersion": each, "version": v}
					return answer(object{"kind": "APIGroup", "apiVersion": "v1", "name": g, "versions": []object{one}, "preferredVersion": one})
				}
			}
		}
		return false
	}
	resources := []object{}
	for _, p := range plurals {
		namespaced := p != "namespaces" && p != "frameworkclasses" && p != "selfsubjectaccessreviews"
		resources = append(resources, object{"name": p, "singularName": strings.ToLower(kinds[p]), "namespaced": namespaced, "kind": kinds[p],
			"verbs": []string{"get", "list", "watch", "create", "update", "patch", "delete"}})
		if p == "frameworks" || p == "frameworkrollbacks" || p == "frameworkbackups" {
			resources = append(resources, object{"name": p + "/status", "namespaced": true, "kind": kinds[p], "verbs": []string{"get", "update", "patch"}})
		}
	}
	return answer(object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": gv, "resources": resources})
}

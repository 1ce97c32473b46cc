package main

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

type object = map[string]any

// One resource version of one object. Never changed once stored: readers and watchers share it.
type version struct {
	key    string // namespace/name
	labels map[string]string
	rv     uint64
	body   []byte // with kind and apiVersion
	doc    object // the same, parsed; read-only
}

type event struct {
	kind string // ADDED, MODIFIED, DELETED
	obj  *version
	old  *version // MODIFIED: what it was, for selectors
}

// All objects of one resource. A watcher is a queue without bound: a slow client never blocks a writer.
type table struct {
	items    map[string]*version
	keys     []string // sorted; rebuilt when a list needs it
	stale    bool
	log      []event // what happened, oldest first; watches resume from it
	watchers map[*watcher]bool
}

type watcher struct {
	wake chan struct{}
	at   int // index into the table's log
}

// The whole cluster. Every change has a version of one counter, as in etcd. Thread-safe.
type store struct {
	mu     sync.RWMutex
	rv     uint64
	uids   uint64
	tables map[string]*table // by "group/plural"
	hook   func(resource string, e event)
}

func newStore() *store { return &store{tables: map[string]*table{}, rv: 1000} }

func (s *store) table(resource string) *table {
	t := s.tables[resource]
	if t == nil {
		t = &table{items: map[string]*version{}, watchers: map[*watcher]bool{}}
		s.tables[resource] = t
	}
	return t
}

func meta(o object) object {
	m, _ := o["metadata"].(object)
	if m == nil {
		m = object{}
		o["metadata"] = m
	}
	return m
}

func text(o object, path ...string) string {
	for i, p := range path {
		if i == len(path)-1 {
			v, _ := o[p].(string)
			return v
		}
		o, _ = o[p].(object)
	}
	return ""
}

func child(o object, path ...string) object {
	for _, p := range path {
		o, _ = o[p].(object)
	}
	return o
}

func keyOf(o object) string {
	return text(o, "metadata", "namespace") + "/" + text(o, "metadata", "name")
}

func copyOf(v any) any {
	switch t := v.(type) {
	case object:
		out := make(object, len(t))
		for k, e := range t {
			out[k] = copyOf(e)
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i, e := range t {
			out[i] = copyOf(e)
		}
		return out
	}
	return v
}

type failure struct {
	code   int
	reason string
	text   string
}

func (f *failure) Error() string { return f.text }

func fail(code int, reason, format string, args ...any) *failure {
	return &failure{code, reason, fmt.Sprintf(format, args...)}
}

// With mu held for writing.
func (s *store) put(resource string, doc object, kind string) *version {
	s.rv++
	m := meta(doc)
	m["resourceVersion"] = strconv.FormatUint(s.rv, 10)
	body, _ := json.Marshal(doc)
	labels := map[string]string{}
	for k, v := range child(doc, "metadata", "labels") {
		labels[k], _ = v.(string)
	}
	v := &version{keyOf(doc), labels, s.rv, body, doc}
	t := s.table(resource)
	old := t.items[v.key]
	if kind == "DELETED" {
		delete(t.items, v.key)
		t.stale = true
	} else {
		if old == nil {
			t.stale = true
		}
		t.items[v.key] = v
	}
	e := event{kind, v, old}
	t.log = append(t.log, e)
	for w := range t.watchers {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	if s.hook != nil {
		s.hook(resource, e)
	}
	return v
}

func (s *store) create(resource string, doc object) (*version, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := meta(doc)
	if m["name"] == nil {
		s.uids++
		m["name"] = text(doc, "metadata", "generateName") + strconv.FormatUint(s.uids, 36)
	}
	if s.table(resource).items[keyOf(doc)] != nil {
		return nil, fail(409, "AlreadyExists", "%s %s already exists", resource, keyOf(doc))
	}
	s.uids++
	m["uid"] = fmt.Sprintf("%08x-0000-4000-8000-%012x", 0xa0000000+s.uids, s.uids)
	m["creationTimestamp"] = time.Now().UTC().Format(time.RFC3339)
	m["generation"] = float64(1)
	return s.put(resource, doc, "ADDED"), nil
}

// update applies `change` to a copy of the object; a spec that differs counts as a new generation. A deleted object goes when its
// last finalizer does.
func (s *store) update(resource, key string, change func(object) *failure) (*version, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.table(resource).items[key]
	if now == nil {
		return nil, fail(404, "NotFound", "%s %s not found", resource, key)
	}
	next := copyOf(now.doc).(object)
	if f := change(next); f != nil {
		return nil, f
	}
	m := meta(next)
	for _, fixed := range []string{"uid", "name", "namespace", "creationTimestamp"} {
		if was, had := meta(now.doc)[fixed]; had {
			m[fixed] = was
		}
	}
	before, _ := json.Marshal(now.doc["spec"])
	after, _ := json.Marshal(next["spec"])
	generation, _ := meta(now.doc)["generation"].(float64)
	if string(before) != string(after) {
		generation++
	}
	m["generation"] = generation
	m["resourceVersion"] = strconv.FormatUint(now.rv, 10)
	if same, _ := json.Marshal(next); string(same) == string(now.body) {
		return now, nil
	}
	finalizers, _ := m["finalizers"].([]any)
	if m["deletionTimestamp"] != nil && len(finalizers) == 0 {
		return s.put(resource, next, "DELETED"), nil
	}
	return s.put(resource, next, "MODIFIED"), nil
}

func (s *store) remove(resource, key, uid string) (*version, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.table(resource).items[key]
	if now == nil {
		return nil, fail(404, "NotFound", "%s %s not found", resource, key)
	}
	if uid != "" && uid != text(now.doc, "metadata", "uid") {
		return nil, fail(409, "Conflict", "%s %s has another uid", resource, key)
	}
	next := copyOf(now.doc).(object)
	finalizers, _ := meta(next)["finalizers"].([]any)
	if len(finalizers) == 0 {
		return s.put(resource, next, "DELETED"), nil
	}
	meta(next)["deletionTimestamp"] = time.Now().UTC().Format(time.RFC3339)
	return s.put(resource, next, "MODIFIED"), nil
}

func (s *store) get(resource, key string) *version {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.tables[resource]; t != nil {
		return t.items[key]
	}
	return nil
}

// list returns up to `limit` objects after key `after`, in order, and the version the list is of.
func (s *store) list(resource, namespace string, match func(map[string]string) bool, after string, limit int) (out []*version, rv uint64, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table(resource)
	if t.stale {
		t.keys = t.keys[:0]
		for k := range t.items {
			t.keys = append(t.keys, k)
		}
		sort.Strings(t.keys)
		t.stale = false
	}
	from := 0
	if namespace != "" {
		from = sort.SearchStrings(t.keys, namespace+"/")
	}
	if after != "" {
		from = sort.SearchStrings(t.keys, after+"\x00")
	}
	for _, k := range t.keys[from:] {
		if namespace != "" && !strings.HasPrefix(k, namespace+"/") {
			break
		}
		v := t.items[k]
		if !match(v.labels) {
			continue
		}
		if limit > 0 && len(out) == limit {
			return out, s.rv, true
		}
		out = append(out, v)
	}
	return out, s.rv, false
}

// watch registers for what comes after `rv`.
func (s *store) watch(resource string, rv uint64) *watcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table(resource)
	w := &watcher{wake: make(chan struct{}, 1), at: sort.Search(len(t.log), func(i int) bool { return t.log[i].obj.rv > rv })}
	t.watchers[w] = true
	w.wake <- struct{}{}
	return w
}

func (s *store) unwatch(resource string, w *watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.table(resource).watchers, w)
}

func (s *store) next(resource string, w *watcher) ([]event, uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	log := s.tables[resource].log
	out := log[w.at:]
	w.at = len(log)
	return out, s.rv
}

func (s *store) version() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rv
}

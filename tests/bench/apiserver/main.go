// A fast API server for the benches: lists with pages, watches with bookmarks, writes with compare-and-swap, all in memory, over plain
// HTTP; and beside it a driver that plays Job controller and kubelet. It answers every client alike. What it leaves out (admission,
// validation, TLS, etcd) no client is made to wait for. /bench/… is the bench's own: it starts things and says what was seen.
//
//	apiserver -listen 127.0.0.1:8901 -frameworks 1000 -deployments 10000 -bytes 8000
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

const group = "rollback.pa-ecosystem.io"

// What clients asked. Thread-safe.
type seen struct {
	store *store
	mu    sync.Mutex
	kinds map[string]int // "read get jobs", "write PATCH pods", …
	write map[string]int
	trace []object
	last  time.Time            // a request
	first map[string]time.Time // key of a rollback → the first write to it by a client
	made  map[string]time.Time
}

func (s *seen) request(r *http.Request, t target, body []byte, watching bool) {
	at := time.Now()
	verb := r.Method
	if verb == http.MethodGet && watching {
		verb = "WATCH"
	} else if verb == http.MethodGet && t.name == "" {
		verb = "LIST"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	what := t.plural
	if t.sub != "" {
		what += "/" + t.sub
	}
	s.last = at
	s.kinds[verb+" "+what]++
	if s.trace != nil && verb != "WATCH" {
		s.trace = append(s.trace, object{"method": r.Method, "path": r.URL.RequestURI(), "type": r.Header.Get("Content-Type"), "body": string(body)})
	}
	if t.plural == "frameworkrollbacks" && (verb == http.MethodPatch || verb == http.MethodPut) {
		if _, there := s.first[t.key()]; !there {
			s.first[t.key()] = at
		}
	}
}

// /bench/rollbacks?from=0&to=1000&per=10 creates them; /bench/seen tells, and with reset=1 begins anew; /bench/trace gives the requests
// since ?start=1.
func (s *seen) control(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(q.Get(name)); err == nil {
			return n
		}
		return otherwise
	}
	answer := func(v any) {
		body, _ := json.Marshal(v)
		write(w, 200, body)
	}
	switch r.URL.Path {
	case "/bench/rollbacks":
		for i := number("from", 0); i < number("to", 0); i++ {
			ns, name := fmt.Sprintf("team-%03d", i/number("per", 10)), fmt.Sprintf("shop-%04d", i)
			doc := object{"kind": "FrameworkRollback", "apiVersion": group + "/v1alpha1", "metadata": object{"name": name + "-back", "namespace": ns},
				"spec": object{"frameworkRef": object{"name": name}, "reason": "FailedUpgrade", "mode": "Execute", "to": object{"version": "1.0.0"},
					"keepPreviousFor": "24h", "timeoutSeconds": float64(3600)}}
			s.mu.Lock()
			s.made[ns+"/"+name+"-back"] = time.Now()
			s.mu.Unlock()
			s.store.create(group+"/frameworkrollbacks", doc)
		}
		answer(object{})
	case "/bench/trace":
		s.mu.Lock()
		defer s.mu.Unlock()
		if q.Get("start") != "" {
			s.trace = []object{}
			answer(object{})
			return
		}
		answer(s.trace)
		s.trace = nil
	case "/bench/seen":
		phases := map[string]int{}
		items, _, _ := s.store.list(group+"/frameworkrollbacks", "", func(map[string]string) bool { return true }, "", 0)
		for _, v := range items {
			phases[text(v.doc, "status", "phase")]++
		}
		healthy := 0
		items, _, _ = s.store.list(group+"/frameworks", "", func(map[string]string) bool { return true }, "", 0)
		for _, v := range items {
			conditions, _ := child(v.doc, "status")["conditions"].([]any)
			for _, c := range conditions {
				if each, _ := c.(object); each["type"] == "Ready" && each["status"] == "True" {
					healthy++
				}
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		reads, writes := 0, 0
		for k, n := range s.kinds {
			if strings.HasPrefix(k, "GET") || strings.HasPrefix(k, "LIST") || strings.HasPrefix(k, "WATCH") || strings.Contains(k, "accessreviews") {
				reads += n
			} else {
				writes += n
			}
		}
		latencies := []float64{}
		for key, at := range s.first {
			latencies = append(latencies, float64(at.Sub(s.made[key]).Microseconds())/1000)
		}
		sort.Float64s(latencies)
		kinds := map[string]int{}
		for k, n := range s.kinds {
			kinds[k] = n
		}
		answer(object{"reads": reads, "writes": writes, "kinds": kinds, "phases": phases, "ready": healthy, "firstWriteMilliseconds": latencies,
			"quietSeconds": time.Since(s.last).Seconds()})
		if q.Get("reset") != "" {
			s.kinds = map[string]int{}
		}
	default:
		http.NotFound(w, r)
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	frameworks := flag.Int("frameworks", 1000, "Frameworks, each with a Deployment and a backup")
	deployments := flag.Int("deployments", 10000, "Deployments, those of the Frameworks included")
	per := flag.Int("per-namespace", 10, "Frameworks in one namespace")
	bytes := flag.Int("bytes", 8000, "of a Deployment")
	flag.Parse()
	s := newStore()
	startDriver(s)
	preload(s, *frameworks, *deployments, *per, *bytes)
	watched := &seen{store: s, kinds: map[string]int{}, first: map[string]time.Time{}, made: map[string]time.Time{}}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	if v := s.get("apps/deployments", "team-000/shop-0000"); v != nil {
		fmt.Fprintf(os.Stdout, "listening on %s, a Deployment is %d bytes\n", l.Addr(), len(v.body))
	}
	log.Fatal(http.Serve(l, &server{s, watched}))
}

// Reads objects written by the unit tests (tests/unit/reconcilers/kstatus_test.cpp) as "<expected>.<name>.json" from the folder that
// is its argument, and compares what Flux's kstatus library computes with what is expected.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func check(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	// unstructured wants integers as int64, which its own decoder makes of them.
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(text); err != nil {
		return err
	}
	result, err := status.Compute(object)
	if err != nil {
		return err
	}
	expected, _, _ := strings.Cut(filepath.Base(path), ".")
	if result.Status.String() != expected {
		conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
		shown, _ := json.Marshal(conditions)
		return fmt.Errorf("is %s (%s), expected %s: %s", result.Status, result.Message, expected, shown)
	}
	return nil
}

func main() {
	paths, err := filepath.Glob(filepath.Join(os.Args[1], "*.json"))
	if err != nil || len(paths) < 20 {
		fmt.Fprintf(os.Stderr, "kstatus: %d objects in %s are too few: %v\n", len(paths), os.Args[1], err)
		os.Exit(1)
	}
	seen := map[string]int{}
	failed := false
	for _, path := range paths {
		if err := check(path); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(path), err)
			failed = true
		}
		expected, _, _ := strings.Cut(filepath.Base(path), ".")
		seen[expected]++
	}
	if failed {
		os.Exit(1)
	}
	fmt.Printf("kstatus: %d objects, all as expected: %v\n", len(paths), seen)
}

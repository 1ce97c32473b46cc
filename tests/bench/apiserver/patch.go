package main

import (
	"encoding/json"
	"reflect"
	"strings"
)

// RFC 7386.
func mergePatch(into object, patch object) {
	for k, v := range patch {
		switch p := v.(type) {
		case nil:
			delete(into, k)
		case object:
			inner, ok := into[k].(object)
			if !ok {
				inner = object{}
				into[k] = inner
			}
			mergePatch(inner, p)
		default:
			into[k] = v
		}
	}
}

// Strategic merge as far as a pod template needs it: lists of named objects are merged by name.
func strategicPatch(into object, patch object) {
	for k, v := range patch {
		switch p := v.(type) {
		case nil:
			delete(into, k)
		case object:
			inner, ok := into[k].(object)
			if !ok {
				inner = object{}
				into[k] = inner
			}
			strategicPatch(inner, p)
		case []any:
			into[k] = mergeNamed(into[k], p)
		default:
			into[k] = v
		}
	}
}

func mergeNamed(have any, patch []any) any {
	list, _ := have.([]any)
	for _, each := range patch {
		named, ok := each.(object)
		if !ok || named["name"] == nil {
			return patch
		}
		found := false
		for _, old := range list {
			if o, ok := old.(object); ok && o["name"] == named["name"] {
				strategicPatch(o, named)
				found = true
			}
		}
		if !found {
			list = append(list, named)
		}
	}
	return list
}

// RFC 6902: test, add, replace and remove of members.
func jsonPatch(into object, body []byte) *failure {
	var ops []struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	if err := json.Unmarshal(body, &ops); err != nil {
		return fail(400, "BadRequest", "%v", err)
	}
	for _, op := range ops {
		segments := strings.Split(strings.TrimPrefix(op.Path, "/"), "/")
		last := len(segments) - 1
		for i, s := range segments {
			segments[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
		}
		at := child(into, segments[:last]...)
		if at == nil {
			return fail(422, "Invalid", "no %s", op.Path)
		}
		switch op.Op {
		case "test":
			if !reflect.DeepEqual(at[segments[last]], op.Value) {
				return fail(422, "Invalid", "test of %s failed", op.Path)
			}
		case "add", "replace":
			at[segments[last]] = op.Value
		case "remove":
			delete(at, segments[last])
		}
	}
	return nil
}

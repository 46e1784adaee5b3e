package standalone

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/internal/files"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// Print gives a resource as people write it: without what only an API server would fill in.
func Print(object any) ([]byte, error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &m); err != nil {
		return nil, err
	}
	if meta, ok := m["metadata"].(map[string]any); ok && meta["creationTimestamp"] == nil {
		delete(meta, "creationTimestamp")
	}
	if status, ok := m["status"].(map[string]any); ok && len(status) == 0 {
		delete(m, "status")
	}
	return yaml.Marshal(m)
}

// writeYAML writes v so that a reader sees the old file or the new one, never a part.
func writeYAML(path string, v any) error {
	text, err := Print(v)
	if err != nil {
		return err
	}
	return replaceFile(path, text)
}

func replaceFile(path string, text []byte) error { return files.Replace(path, text, 0o644) }

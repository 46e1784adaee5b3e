package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readme writes the README of a chart: README.md.gotmpl up to its last line, then a table of every value.
func readme(root, chart string) error {
	dir := filepath.Join(root, "charts", chart)
	head, err := os.ReadFile(filepath.Join(dir, "README.md.gotmpl"))
	if err != nil {
		return err
	}
	values, err := os.ReadFile(filepath.Join(dir, "values.yaml"))
	if err != nil {
		return err
	}
	table, err := valuesTable(values)
	if err != nil {
		return fmt.Errorf("charts/%s/values.yaml: %w", chart, err)
	}
	text := strings.TrimRight(string(head), "\n") + "\n\n" + table
	return os.WriteFile(filepath.Join(dir, "README.md"), []byte(text), 0o644)
}

// valuesTable renders the comments of values.yaml. A comment that starts with "--" stands for a whole mapping; otherwise every leaf needs
// a comment of its own, and a mapping's comment is said before its leaves.
func valuesTable(values []byte) (string, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(values, &document); err != nil {
		return "", err
	}
	var out strings.Builder
	out.WriteString("| value | what | default |\n|---|---|---|\n")
	var errs []error
	walk(document.Content[0], "", &out, &errs)
	return out.String(), errors.Join(errs...)
}

func walk(mapping *yaml.Node, prefix string, out *strings.Builder, errs *[]error) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		path := prefix + key.Value
		comment, whole := said(key.HeadComment)
		if value.Kind == yaml.MappingNode && len(value.Content) > 0 && !whole {
			if comment != "" {
				fmt.Fprintf(out, "| **%s** | %s | |\n", path, comment)
			}
			walk(value, path+".", out, errs)
			continue
		}
		if comment == "" {
			*errs = append(*errs, fmt.Errorf("%s has no comment", path))
			continue
		}
		var v any
		if err := value.Decode(&v); err != nil {
			*errs = append(*errs, fmt.Errorf("%s: %w", path, err))
			continue
		}
		text, err := json.Marshal(v)
		if err != nil {
			*errs = append(*errs, fmt.Errorf("%s: %w", path, err))
			continue
		}
		fmt.Fprintf(out, "| `%s` | %s | `%s` |\n", path, comment, strings.ReplaceAll(string(text), "|", `\|`))
	}
}

// said is a comment as one line of Markdown. Only its last paragraph counts: what stands before a blank line is about the file.
func said(comment string) (text string, whole bool) {
	if i := strings.LastIndex(comment, "\n\n"); i >= 0 {
		comment = comment[i+2:]
	}
	var words []string
	for line := range strings.Lines(comment) {
		words = append(words, strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#")))
	}
	text = strings.Join(words, " ")
	text, whole = strings.CutPrefix(text, "-- ")
	return strings.ReplaceAll(text, "|", `\|`), whole
}

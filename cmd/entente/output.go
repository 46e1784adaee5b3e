package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/jsonform"
)

// outputFlag adds -o with the forms that a command has, the first of which is the default.
func outputFlag(cmd *cobra.Command, output *string, forms ...string) {
	all := strings.Join(forms[:len(forms)-1], ", ") + " or " + forms[len(forms)-1]
	cmd.Flags().StringVarP(output, "output", "o", forms[0], all)
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)) // the flag was added above
}

// checkOutput refuses forms that a command does not have.
func checkOutput(output string, forms ...string) error {
	if slices.Contains(forms, output) {
		return nil
	}
	return fmt.Errorf("--output %q: use %s or %s", output, strings.Join(forms[:len(forms)-1], ", "), forms[len(forms)-1])
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(terminal(out))
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func printYAML(out io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		text, err = toYAML(text)
	}
	if err != nil {
		return err
	}
	_, err = terminal(out).Write(text)
	return err
}

// toYAML writes JSON as YAML. It does not read JSON as YAML, which is not quite a superset: control characters, for one.
func toYAML(text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	e.CompactSeqIndent() // as kubectl writes it
	err := e.Encode(numbers(v))
	return b.Bytes(), err
}

// numbers makes numbers of what encoding/json read as the text of one.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = numbers(v[name])
		}
	}
	return v
}

// yamlPrinter writes what documentPrinter does, as YAML, record by record.
type yamlPrinter struct {
	out       io.Writer
	started   bool
	buf       []byte
	rest      jsonform.Document // sources and summary
	documents bytes.Buffer
}

func (p *yamlPrinter) frame(f *gatewayv1.QueryResponse) error {
	records := f.GetRecords()
	if records == nil {
		return p.rest.Frame(f)
	}
	p.documents.Reset()
	if !p.started {
		p.started = true
		p.documents.WriteString("records:\n")
	}
	batch := jsonform.NewBatch(records)
	for _, r := range records.GetRecords() {
		p.buf = batch.Append(p.buf[:0], r)
		text, err := toYAML(p.buf)
		if err != nil {
			return err
		}
		p.documents.WriteString("- " + strings.ReplaceAll(strings.TrimSuffix(string(text), "\n"), "\n", "\n  ") + "\n")
	}
	_, err := p.out.Write(p.documents.Bytes())
	return err
}

func (p *yamlPrinter) end() error {
	if !p.started {
		if _, err := io.WriteString(p.out, "records: []\n"); err != nil {
			return err
		}
	}
	sources := p.rest.Sources
	if sources == nil {
		sources = []jsonform.SourceStatus{}
	}
	return printYAML(p.out, map[string]any{"sources": sources, "summary": p.rest.Summary})
}

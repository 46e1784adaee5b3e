package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/words"
)

// shelf is where agreements are read: the desk, or files.
type shelf interface {
	// Agreement with its status, where there is one.
	Agreement(ctx context.Context, name string) (*v1alpha1.SharingAgreement, error)
	// Agencies of those names, as far as they are there.
	Agencies(ctx context.Context, names []string) (map[string]*v1alpha1.Agency, error)
	// TaskForces of those object names, as far as they are there.
	TaskForces(ctx context.Context, names []string) (words.TaskForces, error)
}

// readFlags say which agreement a command is about: NAME at the desk, or -f FILE.
type readFlags struct {
	where    *deskFlags
	files    []string
	agencies []string
	output   string
}

func (f *readFlags) addFiles(cmd *cobra.Command) {
	cmd.Flags().StringSliceVarP(&f.files, "filename", "f", nil, "files to read instead; - for standard input")
}

func (f *readFlags) addAgencies(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.agencies, "agencies", nil, "files of Agency resources to verify signatures against, as 'entente agency export' prints them")
}

// addOutput adds -o; the first of the forms is the default.
func (f *readFlags) addOutput(cmd *cobra.Command, forms ...string) {
	cmd.Flags().StringVarP(&f.output, "output", "o", forms[0], strings.Join(forms[:len(forms)-1], ", ")+" or "+forms[len(forms)-1])
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(forms, f.output) {
			return fmt.Errorf("--output %q: use %s", f.output, strings.Join(forms, ", "))
		}
		return run(cmd, args)
	}
}

// print writes v as JSON or YAML, or else the text.
func (f *readFlags) print(w io.Writer, v any, text func() string) error {
	switch f.output {
	case "json":
		return printJSON(w, v)
	case "yaml":
		return printYAML(w, v)
	}
	_, err := io.WriteString(w, text())
	return err
}

// one gives the agreement that the arguments and -f mean, and the agencies of its parties as far as they are known.
func (f *readFlags) one(ctx context.Context, args []string) (*v1alpha1.SharingAgreement, map[string]*v1alpha1.Agency, error) {
	a, known, _, err := f.oneInWords(ctx, args)
	return a, known, err
}

// oneInWords gives the task forces that the agreement pins as well, as far as they are known.
func (f *readFlags) oneInWords(ctx context.Context, args []string) (*v1alpha1.SharingAgreement, map[string]*v1alpha1.Agency, words.TaskForces, error) {
	s, name, err := f.choose(args)
	if err != nil {
		return nil, nil, nil, err
	}
	a, err := s.Agreement(ctx, name)
	if err != nil {
		return nil, nil, nil, err
	}
	forces, err := taskForcesOf(ctx, []shelf{s}, a)
	if err != nil {
		return nil, nil, nil, err
	}
	var names []string
	for _, p := range a.Spec.Terms.Parties {
		names = append(names, p.Agency)
	}
	if len(f.agencies) > 0 { // what is named on the command line is believed, and nothing else
		if s, err = readShelf(f.agencies); err != nil {
			return nil, nil, nil, err
		}
	}
	known, err := s.Agencies(ctx, names)
	return a, known, forces, err
}

func (f *readFlags) choose(args []string) (shelf, string, error) {
	switch {
	case len(f.files) > 0:
		s, err := readShelf(f.files)
		return s, strings.Join(args, ""), err
	case len(args) == 0:
		return nil, "", errors.New("name an agreement (<id>.v<version>), or give its file with -f")
	}
	d, err := f.where.open()
	return d, args[0], err
}

// fileShelf is the resources that were read from files.
type fileShelf struct {
	names      []string
	agreements []*v1alpha1.SharingAgreement
	agencies   map[string]*v1alpha1.Agency
	forces     words.TaskForces
}

var _ shelf = (*fileShelf)(nil)

// readShelf reads the agreements, agencies and task forces of YAML files; other kinds are left alone.
func readShelf(paths []string) (*fileShelf, error) {
	f := &fileShelf{names: paths, agencies: map[string]*v1alpha1.Agency{}, forces: words.TaskForces{}}
	for _, path := range paths {
		text, err := readFile(path)
		if err != nil {
			return nil, err
		}
		reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
		for {
			document, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				err = f.add(document)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return f, nil
}

func (f *fileShelf) add(document []byte) error {
	var head struct {
		Kind string `json:"kind"`
	}
	if err := yaml.Unmarshal(document, &head); err != nil {
		return err
	}
	switch head.Kind {
	case "SharingAgreement":
		a := &v1alpha1.SharingAgreement{}
		if err := yaml.UnmarshalStrict(document, a); err != nil {
			return err
		}
		f.agreements = append(f.agreements, a)
		return refuseUnknown(a.Name, a.Spec.UnknownFields)
	case "Agency":
		a := &v1alpha1.Agency{}
		if err := yaml.UnmarshalStrict(document, a); err != nil {
			return err
		}
		f.agencies[a.Name] = a
	case "TaskForce":
		tf := &v1alpha1.TaskForce{}
		if err := yaml.UnmarshalStrict(document, tf); err != nil {
			return err
		}
		f.forces[tf.Name] = tf
		return refuseUnknown(tf.Name, tf.Spec.UnknownFields)
	}
	return nil
}

// Agreement of that name; with no name, the only one.
func (f *fileShelf) Agreement(_ context.Context, name string) (*v1alpha1.SharingAgreement, error) {
	var names []string
	for _, a := range f.agreements {
		if a.Name == name || (name == "" && len(f.agreements) == 1) {
			return a, nil
		}
		names = append(names, a.Name)
	}
	in := strings.Join(f.names, ", ")
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("%s holds no SharingAgreement", in)
	case name == "":
		return nil, fmt.Errorf("%s holds several agreements: name one of %s", in, strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("%s holds no SharingAgreement %q (%s)", in, name, strings.Join(names, ", "))
}

func (f *fileShelf) Agencies(context.Context, []string) (map[string]*v1alpha1.Agency, error) {
	return f.agencies, nil
}

func (f *fileShelf) TaskForces(context.Context, []string) (words.TaskForces, error) {
	return f.forces, nil
}

func (d folderDesk) Agreement(_ context.Context, name string) (*v1alpha1.SharingAgreement, error) {
	index, err := d.folder.Index()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, versions := range index.Agreements {
		for _, a := range versions {
			if a.Name == name {
				return a, nil
			}
			names = append(names, a.Name)
		}
	}
	slices.Sort(names)
	return nil, fmt.Errorf("the folder has no SharingAgreement %q (%s)", name, strings.Join(names, ", "))
}

func (d folderDesk) Agencies(_ context.Context, _ []string) (map[string]*v1alpha1.Agency, error) {
	index, err := d.folder.Index()
	if err != nil {
		return nil, err
	}
	return index.Agencies, nil
}

func (d folderDesk) TaskForces(context.Context, []string) (words.TaskForces, error) {
	index, err := d.folder.Index()
	if err != nil {
		return nil, err
	}
	return index.TaskForces, nil
}

func (d folderDesk) Index(context.Context) (*compile.Index, error) {
	index, err := d.folder.Index()
	if err == nil && index.Self == "" {
		err = errors.New("the folder has no Agency of its own: one without trustBundle and signingKeys")
	}
	return index, err
}

func (d clusterDesk) Agreement(ctx context.Context, name string) (*v1alpha1.SharingAgreement, error) {
	a := &v1alpha1.SharingAgreement{}
	return a, d.get(ctx, name, a)
}

func (d clusterDesk) Agencies(ctx context.Context, names []string) (map[string]*v1alpha1.Agency, error) {
	return named[v1alpha1.Agency](ctx, d, names)
}

func (d clusterDesk) TaskForces(ctx context.Context, names []string) (words.TaskForces, error) {
	return named[v1alpha1.TaskForce](ctx, d, names)
}

// named gives the objects of those names, as far as they are there.
func named[T any, O interface {
	*T
	client.Object
}](ctx context.Context, d clusterDesk, names []string) (map[string]*T, error) {
	out := map[string]*T{}
	for _, name := range names {
		o := O(new(T))
		switch err := d.get(ctx, name, o); {
		case apierrors.IsNotFound(err):
		case err != nil:
			return nil, err
		default:
			out[name] = o
		}
	}
	return out, nil
}

// taskForcesOf gives the task forces that agreements pin, from wherever one of the shelves has them.
func taskForcesOf(ctx context.Context, shelves []shelf, agreements ...*v1alpha1.SharingAgreement) (words.TaskForces, error) {
	var names []string
	for _, a := range agreements {
		for _, ref := range compile.PinnedTaskForces(&a.Spec.Terms) {
			names = append(names, compile.TaskForceName(ref))
		}
	}
	out := words.TaskForces{}
	if len(names) == 0 {
		return out, nil
	}
	for _, s := range shelves {
		found, err := s.TaskForces(ctx, names)
		if err != nil {
			return nil, err
		}
		maps.Copy(out, found)
	}
	return out, nil
}

// Index gives everything that the namespace holds.
func (d clusterDesk) Index(ctx context.Context) (*compile.Index, error) {
	var (
		agencies   v1alpha1.AgencyList
		schemas    v1alpha1.ExchangeSchemaList
		datasets   v1alpha1.DatasetList
		agreements v1alpha1.SharingAgreementList
		decisions  v1alpha1.AgreementDecisionList
		forces     v1alpha1.TaskForceList
	)
	for _, list := range []client.ObjectList{&agencies, &schemas, &datasets, &agreements, &decisions, &forces} {
		if err := d.client.List(ctx, list, client.InNamespace(d.namespace)); err != nil {
			return nil, err
		}
	}
	x := &compile.Index{
		Agencies:   map[string]*v1alpha1.Agency{},
		Schemas:    map[string]*v1alpha1.ExchangeSchema{},
		Datasets:   map[string]*v1alpha1.Dataset{},
		TaskForces: map[string]*v1alpha1.TaskForce{},
		Agreements: map[string][]*v1alpha1.SharingAgreement{},
		Decisions:  map[string][]*v1alpha1.AgreementDecision{},
	}
	for i := range agencies.Items {
		a := &agencies.Items[i]
		if x.Agencies[a.Name] = a; a.Status.Local {
			x.Self = a.Name
		}
	}
	for i := range schemas.Items {
		x.Schemas[schemas.Items[i].Name] = &schemas.Items[i]
	}
	for i := range datasets.Items {
		x.Datasets[datasets.Items[i].Name] = &datasets.Items[i]
	}
	for i := range forces.Items {
		x.TaskForces[forces.Items[i].Name] = &forces.Items[i]
	}
	for i := range agreements.Items {
		id := agreements.Items[i].Spec.Terms.ID
		x.Agreements[id] = append(x.Agreements[id], &agreements.Items[i])
	}
	for i := range decisions.Items {
		name := decisions.Items[i].Spec.Agreement
		x.Decisions[name] = append(x.Decisions[name], &decisions.Items[i])
	}
	if x.Self == "" {
		return nil, fmt.Errorf("no Agency in namespace %s is an operator's own: see that its operator runs", d.namespace)
	}
	return x, nil
}

// isFile says whether an argument is a path rather than the name of an agreement.
func isFile(arg string) bool {
	if arg == "-" || strings.ContainsRune(arg, filepath.Separator) || slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(arg)) {
		return true
	}
	info, err := os.Stat(arg)
	return err == nil && info.Mode().IsRegular()
}

package standalone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	syaml "sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/local"
)

// Folder is an agency's folder of resources, for the commands that people use on it. They work whether or not `entente
// standalone` runs.
type Folder struct {
	// ConfigDir holds the resources. StateDir is DefaultStateDir(ConfigDir) when empty.
	ConfigDir, StateDir string
	// Agency is this installation's; it may be empty when there is only one without keys.
	Agency string
}

// DefaultStateDir is where the state of a folder is kept: hidden inside it, and out of reach of git.
func DefaultStateDir(configDir string) string { return filepath.Join(configDir, ".entente") }

func (f Folder) stateDir() string {
	if f.StateDir != "" {
		return f.StateDir
	}
	return DefaultStateDir(f.ConfigDir)
}

// prepareState makes the state folder, and keeps git from taking keys along.
func (f Folder) prepareState() (string, error) {
	if _, err := os.Stat(f.ConfigDir); err != nil {
		return "", err // a misspelt folder is not made
	}
	dir := f.stateDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	ignore := filepath.Join(dir, ".gitignore")
	if _, err := os.Stat(ignore); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(ignore, []byte("*\n"), 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// read reads the folder; every file must be readable.
func (f Folder) read() (*contents, error) {
	if _, err := os.Stat(f.ConfigDir); err != nil {
		return nil, err
	}
	c, err := newFolder(f.ConfigDir).read()
	if err != nil {
		return nil, err
	}
	return c, c.err()
}

// open gives this installation's agency and its keys, which are made when there are none yet.
func (f Folder) open() (*v1alpha1.Agency, *local.Store, error) {
	c, err := f.read()
	if err != nil {
		return nil, nil, err
	}
	self, err := selfOf(c, f.Agency)
	if err != nil {
		return nil, nil, err
	}
	dir, err := f.prepareState()
	if err != nil {
		return nil, nil, err
	}
	store, err := local.Open(filepath.Join(dir, "keys"), self.Spec.TrustDomain)
	return self, store, err
}

// ExportAgency gives the agency as peers apply it: with its published keys and trust bundle.
func (f Folder) ExportAgency(ctx context.Context) (*v1alpha1.Agency, error) {
	self, store, err := f.open()
	if err != nil {
		return nil, err
	}
	out := &v1alpha1.Agency{TypeMeta: typeMeta("Agency"), ObjectMeta: metav1.ObjectMeta{Name: self.Name}, Spec: *self.Spec.DeepCopy()}
	out.Spec.Maintenance = nil // it is announced, not imported
	if out.Spec.TrustBundle, err = store.TrustBundle(ctx); err != nil {
		return nil, err
	}
	out.Spec.SigningKeys, err = store.Public(ctx)
	return out, err
}

// ReadAgency reads a file that holds one Agency and nothing else, as strictly as a folder is read.
func ReadAgency(content []byte) (*v1alpha1.Agency, error) {
	documents, err := parse(content)
	if err != nil {
		return nil, err
	}
	if len(documents) != 1 || documents[0].kind != "Agency" {
		return nil, errors.New("not one Agency and nothing else: give what the other agency prints with `entente agency export`")
	}
	return documents[0].object.(*v1alpha1.Agency), nil
}

// ImportAgency puts a peer's Agency in the folder: in the place of the one of its name, with the rest of that file as it is written, or
// else in a file of its own.
func (f Folder) ImportAgency(a *v1alpha1.Agency) error {
	c, err := f.read()
	if err != nil {
		return err
	}
	object := &v1alpha1.Agency{TypeMeta: typeMeta("Agency"), ObjectMeta: metav1.ObjectMeta{Name: a.Name}, Spec: a.Spec}
	text, err := Print(object)
	if err != nil {
		return err
	}
	path := filepath.Join(f.ConfigDir, "agency-"+a.Name+".yaml")
	d, replaced := c.documents["Agency/"+a.Name]
	if replaced {
		path = filepath.Join(f.ConfigDir, d.file)
		if text, err = withAgency(path, a.Name, text); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	} else if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("%s is there already, and holds something else: rename it", path)
	}
	if _, err := parse(text); err != nil {
		return fmt.Errorf("%s: with the agency in it: %w", path, err)
	}
	return replaceFile(path, text)
}

// SetMaintenance sets when this agency answers no queries, in the file that has its Agency; nil: it does.
func (f Folder) SetMaintenance(m *v1alpha1.Maintenance) error {
	self, _, err := f.open()
	if err != nil {
		return err
	}
	c, err := f.read()
	if err != nil {
		return err
	}
	d := c.documents["Agency/"+self.Name]
	object := &v1alpha1.Agency{TypeMeta: typeMeta("Agency"), ObjectMeta: metav1.ObjectMeta{Name: self.Name}, Spec: *self.Spec.DeepCopy()}
	object.Spec.Maintenance = m
	text, err := Print(object)
	if err != nil {
		return err
	}
	path := filepath.Join(f.ConfigDir, d.file)
	if text, err = withAgency(path, self.Name, text); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if _, err := parse(text); err != nil {
		return fmt.Errorf("%s: with the maintenance in it: %w", path, err)
	}
	return replaceFile(path, text)
}

// withAgency gives the file with the spec of another Agency in the place of that of its name.
func withAgency(path, name string, agency []byte) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var next yaml.Node
	if err := yaml.Unmarshal(agency, &next); err != nil {
		return nil, err
	}
	return eachRoot(text, func(root *yaml.Node) {
		if value(root, "kind") == "Agency" && value(member(root, "metadata"), "name") == name {
			*member(root, "spec") = *member(member(&next, ""), "spec")
		}
	})
}

// IssueUser makes a client certificate for a local user.
func (f Folder) IssueUser(name string, groups, units []string) (*local.User, error) {
	_, store, err := f.open()
	if err != nil {
		return nil, err
	}
	return store.IssueUser(name, groups, units)
}

// TrustBundle vouches for the gateway's own listeners, for the users' clients.
func (f Folder) TrustBundle(ctx context.Context) (string, error) {
	_, store, err := f.open()
	if err != nil {
		return "", err
	}
	return store.TrustBundle(ctx)
}

// Status is the agreement with its status, as `entente standalone` last wrote it.
func (f Folder) Status(agreement string) (*v1alpha1.SharingAgreement, error) {
	path := filepath.Join(f.stateDir(), "status", statusFile("SharingAgreement", agreement))
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("agreement %s has no status yet: is `entente standalone` running on %s?", agreement, f.ConfigDir)
	}
	if err != nil {
		return nil, err
	}
	a := &v1alpha1.SharingAgreement{}
	return a, syaml.UnmarshalStrict(text, a)
}

// ExportSignature gives this agency's own signature on the agreement.
func (f Folder) ExportSignature(agreement string) (*v1alpha1.AgreementSignature, error) {
	a, err := f.Status(agreement)
	if err != nil {
		return nil, err
	}
	if len(a.Status.Signatures) == 0 {
		return nil, fmt.Errorf("this agency has not signed %s: %s", agreement, message(a.Status.Conditions, v1alpha1.ConditionSigned))
	}
	return &a.Status.Signatures[0], nil
}

// ImportSignature puts a peer's signature in spec.signatures of the agreement's file, in the place of an earlier one of the
// same agency. The rest of the file stays as it is written, comments included.
func (f Folder) ImportSignature(agreement string, s v1alpha1.AgreementSignature) error {
	c, err := f.read()
	if err != nil {
		return err
	}
	d, ok := c.documents["SharingAgreement/"+agreement]
	if !ok {
		return fmt.Errorf("the folder has no SharingAgreement %q", agreement)
	}
	path := filepath.Join(f.ConfigDir, d.file)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed, err := withSignature(text, agreement, s)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if _, err := parse(changed); err != nil {
		return fmt.Errorf("%s: with the signature in it: %w", path, err)
	}
	return replaceFile(path, changed)
}

func withSignature(text []byte, agreement string, s v1alpha1.AgreementSignature) ([]byte, error) {
	return eachRoot(text, func(root *yaml.Node) {
		if value(root, "kind") == "SharingAgreement" && value(member(root, "metadata"), "name") == agreement {
			setSignature(member(root, "spec"), s)
		}
	})
}

// eachRoot lets the resources of a file be changed, each at its root.
func eachRoot(text []byte, change func(root *yaml.Node)) ([]byte, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	for {
		var doc yaml.Node
		if err := decoder.Decode(&doc); err != nil {
			break // the file was parsed before: this is its end
		}
		if root := member(&doc, ""); root != nil {
			change(root)
		}
		if err := encoder.Encode(&doc); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), encoder.Close()
}

// member finds a member of a mapping; of a document, with no name, its root.
func member(n *yaml.Node, name string) *yaml.Node {
	if n == nil {
		return nil
	}
	if name == "" {
		if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
			return n.Content[0]
		}
		return nil
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func value(n *yaml.Node, name string) string {
	if m := member(n, name); m != nil {
		return m.Value
	}
	return ""
}

func setSignature(spec *yaml.Node, s v1alpha1.AgreementSignature) {
	text := func(v string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v} }
	item := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{text("agency"), text(s.Agency), text("jws"), text(s.JWS)}}
	list := member(spec, "signatures")
	if list == nil {
		list = &yaml.Node{Kind: yaml.SequenceNode}
		spec.Content = append(spec.Content, text("signatures"), list)
	}
	list.Kind, list.Tag, list.Style, list.Value = yaml.SequenceNode, "", 0, ""
	list.Content = slices.DeleteFunc(list.Content, func(n *yaml.Node) bool { return value(n, "agency") == s.Agency })
	list.Content = append(list.Content, item)
}

// Decide writes a decision on the agreement as it stands in the folder, and returns the file that holds it.
func (f Folder) Decide(d v1alpha1.AgreementDecisionSpec, now time.Time) (path string, err error) {
	c, err := f.read()
	if err != nil {
		return "", err
	}
	doc, ok := c.documents["SharingAgreement/"+d.Agreement]
	if !ok {
		return "", fmt.Errorf("the folder has no SharingAgreement %q", d.Agreement)
	}
	digest, err := doc.object.(*v1alpha1.SharingAgreement).Spec.Terms.Digest()
	if err != nil {
		return "", err
	}
	if d.Digest != "" && d.Digest != digest {
		return "", fmt.Errorf("the digest of %s is %s, not %s: read the terms again before deciding", d.Agreement, digest, d.Digest)
	}
	d.Digest = digest
	what := strings.Trim(fmt.Sprintf("%s-%s", d.Decision, d.Duty), "-")
	name := strings.ToLower(fmt.Sprintf("%s-%s-%s", strings.ReplaceAll(d.Agreement, ".", "-"), what, now.UTC().Format("20060102t150405.000")))
	object := &v1alpha1.AgreementDecision{TypeMeta: typeMeta("AgreementDecision"), ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: d}
	text, err := Print(object)
	if err != nil {
		return "", err
	}
	if _, err := parse(text); err != nil {
		return "", err
	}
	path = filepath.Join(f.ConfigDir, "decision-"+name+".yaml")
	return path, replaceFile(path, text)
}

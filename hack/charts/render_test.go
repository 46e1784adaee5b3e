package charts

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/gateway/transparency"
	"github.com/entente-dev/entente/gateway/witness"
)

func TestLint(t *testing.T) {
	needHelm(t)
	h := helm{home: t.TempDir()}
	for _, c := range []string{"entente-crds", "entente"} {
		if out, err := h.run(t.Context(), "lint", "--strict", chart(t, c)); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	for name, file := range valueSets(t) {
		if out, err := h.run(t.Context(), "lint", "--strict", chart(t, "entente"), "-f", file); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// What the values.yaml has, the schema has, and the reverse; no object of the schema takes what it does not know.
func TestSchemaKnowsEveryValue(t *testing.T) {
	for _, name := range []string{"entente", "entente-crds"} {
		var values, schema map[string]any
		for file, to := range map[string]*map[string]any{"values.yaml": &values, "values.schema.json": &schema} {
			data, err := os.ReadFile(filepath.Join(chart(t, name), file))
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal(data, to); err != nil {
				t.Fatal(err)
			}
		}
		compareSchema(t, name, values, schema, schema)
	}
}

func compareSchema(t *testing.T, path string, values, schema, whole map[string]any) {
	t.Helper()
	if ref, ok := schema["$ref"].(string); ok {
		definitions, _ := whole["definitions"].(map[string]any)
		schema, _ = definitions[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any)
	}
	properties, ok := schema["properties"].(map[string]any)
	if !ok {
		return // free
	}
	if schema["additionalProperties"] != false {
		t.Errorf("%s: unknown members are taken", path)
	}
	for key := range properties {
		if _, ok := values[key]; !ok {
			t.Errorf("%s.%s is in the schema and not in values.yaml", path, key)
		}
	}
	for key, value := range values {
		p, ok := properties[key].(map[string]any)
		if !ok {
			t.Errorf("%s.%s is in values.yaml and not in the schema", path, key)
			continue
		}
		if inner, ok := value.(map[string]any); ok {
			compareSchema(t, path+"."+key, inner, p, whole)
		}
	}
}

func TestBadValuesAreRefused(t *testing.T) {
	needHelm(t)
	h := helm{home: t.TempDir()}
	const on = "networkPolicy.enabled=true"
	for _, c := range []struct {
		set  []string
		want []string
	}{
		{[]string{"gatway.replicas=2"}, []string{"additional properties 'gatway' not allowed"}},
		{[]string{"gateway.oidc.issuerUrl=https://x"}, []string{"'/gateway/oidc'", "'issuerUrl' not allowed"}},
		{[]string{"gateway.replicas=0"}, []string{"'/gateway/replicas'", "want 1"}},
		{[]string{"gateway.replicas=two"}, []string{"'/gateway/replicas'", "got string, want integer"}},
		{[]string{"gateway.quotas.store=embedded"}, []string{"embedded counts for one replica"}},
		{[]string{"gateway.quotas.store=embedded", "gateway.replicas=1", "gateway.autoscaling.enabled=true"}, []string{"embedded counts for one replica"}},
		{[]string{"log.level=loud"}, []string{"'/log/level'", "'debug', 'info', 'warn', 'error'"}},
		{[]string{"agency.name=State Police"}, []string{"'/agency/name'", "State Police"}},
		{[]string{"agency.trustDomain=spiffe://police.example.gov"}, []string{"'/agency/trustDomain'"}},
		{[]string{"vault.address=vault.example.gov"}, []string{"'/vault/address'"}},
		{[]string{"vault.tokenExpirationSeconds=60"}, []string{"'/vault/tokenExpirationSeconds'", "want 600"}},
		{[]string{"gateway.oidc.issuerURL=http://login"}, []string{"'/gateway/oidc/issuerURL'"}},
		{[]string{"gateway.persistence.accessModes[0]=ReadWriteMany"}, []string{"'/gateway/persistence/accessModes/0'"}},
		{[]string{"maxStale=5 minutes"}, []string{"'/maxStale'", "5 minutes"}},
		{[]string{"image.registry=https://registry.example.gov"}, []string{"'/image/registry'"}},
		{[]string{"agency.name=", "agency.trustDomain=", "vault.address=", "image.registry="}, []string{
			"these values are required", "agency.name: ", "agency.trustDomain: ", "vault.address: ", "image.registry: "}},
		{[]string{on}, []string{"networkPolicy.apiServer.cidrs is required"}},
		{[]string{on, "networkPolicy.apiServer.cidrs[0]=10.0.0.1/32"}, []string{"networkPolicy.vault.to is required"}},
		{[]string{"gateway.oidc.issuerURL=https://login"}, []string{"gateway.oidc.clientID is required"}},
		{[]string{"gateway.oidc.clientID=entente"}, []string{"gateway.oidc.issuerURL is required"}},
		{[]string{"gateway.clientCA.secret=a", "gateway.clientCA.configMap=b"}, []string{"gateway.clientCA: give configMap or secret, not both"}},
		{[]string{"gateway.serviceAccount.create=false"}, []string{"gateway.serviceAccount.name is required"}},
		{[]string{"gateway.autoscaling.enabled=true", "gateway.autoscaling.minReplicas=9"}, []string{"greater than gateway.autoscaling.maxReplicas"}},
		{[]string{"gateway.preStopSeconds=45"}, []string{"terminationGracePeriodSeconds must be greater"}},
		{[]string{"gateway.ingress.enabled=true"}, []string{"gateway.ingress.hosts is required"}},
		{[]string{"tracing.endpoint=collector:4317"}, []string{"'/tracing/endpoint'"}},
		{[]string{"tracing.ratio=2"}, []string{"'/tracing/ratio'", "want 1"}},
		{[]string{"gateway.witnesses.list[0].name=enough"}, []string{"'/gateway/witnesses/list/0'", "missing properties 'key', 'url'"}},
		{[]string{"gateway.witnesses.list[0].name=a", "gateway.witnesses.list[0].key=what", "gateway.witnesses.list[0].url=https://w"}, []string{"'/gateway/witnesses/list/0/key'"}},
		{[]string{"gateway.witnesses.quorum=1"}, []string{"gateway.witnesses.quorum is 1, and gateway.witnesses.list has 0"}},
		{[]string{"gateway.witnesses.required=1h"}, []string{"need gateway.witnesses.list or .policy"}},
		{[]string{"gateway.witnesses.list[0].name=a", "gateway.witnesses.list[0].key=a+00000000+AAAA", "gateway.witnesses.list[0].url=https://w"}, []string{"gateway.witnesses.quorum is required"}},
		{[]string{"gateway.witness.logs[0]=a+00000000+AAAA"}, []string{"gateway.witness.logs needs gateway.witness.enabled"}},
		{[]string{"prometheusRule.runbookURL=https://docs.example.gov/%d"}, []string{"'/prometheusRule/runbookURL'"}},
		{[]string{"rbac.people.deciders[0].name=officer"}, []string{"'/rbac/people/deciders'", "got array, want object"}},
		{[]string{"rbac.people.deciders.Officer[0].name=officer"}, []string{"invalid propertyName 'Officer'"}},
		{[]string{"rbac.people.deciders.privacy-officer=[]"}, []string{"'/rbac/people/deciders/privacy-officer'"}},
		{[]string{"rbac.people.renewals[0]=chief"}, []string{"rbac.people.renewals: rbac.people.deciders has no role chief"}},
		{[]string{"operator.exchange.tlsRoute.enabled=true"}, []string{"operator.exchange.tlsRoute.parentRefs is required"}},
	} {
		t.Run(strings.Join(c.set, ","), func(t *testing.T) {
			out, err := h.run(t.Context(), "template", "entente", chart(t, "entente"), "-f", "testdata/values/minimal.yaml", "--set", strings.Join(c.set, ","))
			if err == nil {
				t.Fatalf("rendered:\n%.400s", out)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %q", err, want)
				}
			}
		})
	}
}

func render(t *testing.T, set string, args ...string) []*unstructured.Unstructured {
	t.Helper()
	h := helm{home: t.TempDir()}
	return objects(t, h.must(t, append([]string{"template", "entente", chart(t, "entente"), "-n", "state-police", "-f", valueSets(t)[set]}, args...)...))
}

// podSpecs of what runs pods, by kind and name.
func podSpecs(t *testing.T, all []*unstructured.Unstructured) map[string]corev1.PodTemplateSpec {
	t.Helper()
	out := map[string]corev1.PodTemplateSpec{}
	for _, o := range all {
		switch o.GetKind() {
		case "Pod":
			out["Pod "+o.GetName()] = into[corev1.PodTemplateSpec](t, o.Object)
		case "Deployment", "StatefulSet":
			template, _, err := unstructured.NestedMap(o.Object, "spec", "template")
			if err != nil {
				t.Fatal(err)
			}
			out[o.GetKind()+" "+o.GetName()] = into[corev1.PodTemplateSpec](t, template)
		}
	}
	return out
}

func TestEveryRenderedObject(t *testing.T) {
	needHelm(t)
	namespaced := []string{
		"Deployment", "StatefulSet", "Service", "ServiceAccount", "ConfigMap", "Role", "RoleBinding", "PodDisruptionBudget", "HorizontalPodAutoscaler",
		"NetworkPolicy", "Ingress", "TLSRoute", "ServiceMonitor", "PrometheusRule", "Pod",
	}
	for set := range valueSets(t) {
		t.Run(set, func(t *testing.T) {
			seen := map[string]bool{}
			all := render(t, set)
			for _, o := range all {
				id := o.GetKind() + " " + o.GetName()
				if seen[id] {
					t.Errorf("%s twice", id)
				}
				seen[id] = true
				if !slices.Contains(namespaced, o.GetKind()) {
					t.Errorf("%s: the agency's chart has objects of the namespace only", id)
				}
				if o.GetNamespace() != "state-police" {
					t.Errorf("%s is in namespace %q", id, o.GetNamespace())
				}
				for _, l := range []string{"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component", "app.kubernetes.io/version", "helm.sh/chart"} {
					if o.GetLabels()[l] == "" {
						t.Errorf("%s has no label %s", id, l)
					}
				}
				if hook := o.GetAnnotations()["helm.sh/hook"]; hook != "" && hook != "test" {
					t.Errorf("%s is a %s hook: nothing essential is", id, hook)
				}
				if data := fmt.Sprint(o.Object); strings.Contains(data, "%!") || strings.Contains(data, "<no value>") {
					t.Errorf("%s: %s", id, data)
				}
			}
			for id, pod := range podSpecs(t, all) {
				checkPod(t, id, pod)
			}
		})
	}
}

func checkPod(t *testing.T, id string, pod corev1.PodTemplateSpec) {
	t.Helper()
	if pod.Spec.HostNetwork || pod.Spec.HostPID || pod.Spec.HostIPC {
		t.Errorf("%s uses the host's namespaces", id)
	}
	for _, c := range pod.Spec.Containers {
		s := c.SecurityContext
		if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
			t.Errorf("%s: the root is writable", id)
			continue
		}
		if s.RunAsUser != nil || pod.Spec.SecurityContext.RunAsUser != nil {
			t.Errorf("%s fixes a user", id)
		}
		if c.Resources.Requests.Cpu().IsZero() || c.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s: no request or no memory limit", id)
		}
	}
	for _, v := range pod.Spec.Volumes {
		if v.HostPath != nil {
			t.Errorf("%s mounts the host's %s", id, v.HostPath.Path)
		}
	}
}

func TestReplicasAndDisruption(t *testing.T) {
	needHelm(t)
	count := func(all []*unstructured.Unstructured, kind string) (n int) {
		for _, o := range all {
			if o.GetKind() == kind {
				n++
			}
		}
		return n
	}
	t.Run("default", func(t *testing.T) {
		all := render(t, "minimal")
		if n := count(all, "PodDisruptionBudget"); n != 2 {
			t.Errorf("%d disruption budgets, want 2", n)
		}
		for _, kind := range []string{"HorizontalPodAutoscaler", "NetworkPolicy", "Ingress", "TLSRoute", "ServiceMonitor", "PrometheusRule", "ConfigMap"} {
			if count(all, kind) != 0 {
				t.Errorf("%s is on by default", kind)
			}
		}
	})
	t.Run("one replica", func(t *testing.T) {
		all := render(t, "single")
		if n := count(all, "PodDisruptionBudget"); n != 0 {
			t.Errorf("%d disruption budgets for single replicas: they block every drain", n)
		}
		for _, kind := range []string{"ServiceAccount", "Role", "RoleBinding"} {
			if count(all, kind) != 0 {
				t.Errorf("a %s although it is somebody else's", kind)
			}
		}
		for id, pod := range podSpecs(t, all) {
			const want = "mirror.example.gov/entente@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
			if got := pod.Spec.Containers[0].Image; got != want {
				t.Errorf("%s: image %s", id, got)
			}
			if len(pod.Spec.ImagePullSecrets) != 1 {
				t.Errorf("%s: no pull secret", id)
			}
			if pod.Spec.SecurityContext.FSGroup != nil {
				t.Errorf("%s: fsGroup although it is null", id)
			}
		}
	})
	t.Run("autoscaled", func(t *testing.T) {
		all := render(t, "autoscaled")
		if _, found, _ := unstructured.NestedFieldNoCopy(find(t, all, "StatefulSet", "entente-gateway").Object, "spec", "replicas"); found {
			t.Error("the chart sets replicas, and every upgrade would undo the autoscaler")
		}
		var names []string
		for _, r := range find(t, all, "Role", "entente-gateway").Object["rules"].([]any) {
			more, _, _ := unstructured.NestedStringSlice(r.(map[string]any), "resourceNames")
			names = append(names, more...)
		}
		if len(names) != 5 || names[4] != "entente-gateway-entente-gateway-4" {
			t.Errorf("Leases of %q, want those of maxReplicas", names)
		}
	})
	t.Run("scaling down is off unless asked for", func(t *testing.T) {
		all := render(t, "autoscaled", "--set", "gateway.autoscaling.scaleDown=false")
		policy, _, _ := unstructured.NestedString(find(t, all, "HorizontalPodAutoscaler", "entente-gateway").Object, "spec", "behavior", "scaleDown", "selectPolicy")
		if policy != "Disabled" {
			t.Errorf("selectPolicy %q", policy)
		}
	})
}

// Whoever decides may file decisions, and in the roles that the values name, no others.
func TestDeciders(t *testing.T) {
	needHelm(t)
	all := render(t, "full")
	names := func(binding string) []string {
		var out []string
		b := find(t, all, "RoleBinding", binding).Object
		if ref, _, _ := unstructured.NestedString(b, "roleRef", "name"); ref != binding {
			t.Errorf("%s binds %s", binding, ref)
		}
		subjects, _, _ := unstructured.NestedSlice(b, "subjects")
		for _, s := range subjects {
			out = append(out, s.(map[string]any)["name"].(string))
		}
		return out
	}
	const officer = "privacy-officer@police.example.gov"
	for binding, want := range map[string][]string{
		"police-data-decider":                      {"board", officer},
		"police-data-decider-privacy-officer":      {officer, "board"},
		"police-data-decider-data-integrity-board": {"board"},
	} {
		if got := names(binding); !slices.Equal(got, want) {
			t.Errorf("%s is for %q, want %q", binding, got, want)
		}
	}
	rules := find(t, all, "Role", "police-data-decider-privacy-officer").Object["rules"].([]any)
	if len(rules) != 1 || fmt.Sprint(rules[0].(map[string]any)["resourceNames"], rules[0].(map[string]any)["resources"]) != "[privacy-officer] [decisionroles]" {
		t.Errorf("%v", rules)
	}
	for role, want := range map[string]bool{"privacy-officer": true, "data-integrity-board": false} {
		verbs := find(t, all, "Role", "police-data-decider-"+role).Object["rules"].([]any)[0].(map[string]any)["verbs"].([]any)
		if slices.Contains(verbs, any("renew")) != want || !slices.Contains(verbs, any("accept")) {
			t.Errorf("%s: %v", role, verbs)
		}
	}
	for _, o := range render(t, "minimal") {
		if strings.Contains(o.GetName(), "decider-") || o.GetKind() == "RoleBinding" && strings.HasSuffix(o.GetName(), "decider") {
			t.Errorf("%s %s, and nobody was named", o.GetKind(), o.GetName())
		}
	}
}

// sourceText is all code of the product.
func sourceText(t *testing.T) string {
	t.Helper()
	source := ""
	for _, dir := range []string{"gateway", "controllers", "cmd/entente"} {
		err := filepath.WalkDir(filepath.Join(root(t), dir), func(path string, d os.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				data, rerr := os.ReadFile(path)
				source, err = source+string(data), rerr
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return source
}

// docs/operations/observe.md lists the metrics that the code names, and no others. (TestObserved sees that they are exported.)
func TestMetricsPage(t *testing.T) {
	named := regexp.MustCompile(`"(entente_(?:gateway|operator|exchange|reconciliation|vault|witness)_[a-z_]+)"`)
	var exported, listed []string
	for _, m := range named.FindAllStringSubmatch(sourceText(t), -1) {
		exported = append(exported, m[1])
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(entente_[a-z_]+)` ").FindAllStringSubmatch(read(t, filepath.Join(root(t), "docs", "operations", "observe.md")), -1) {
		listed = append(listed, m[1])
	}
	slices.Sort(exported)
	slices.Sort(listed)
	if exported = slices.Compact(exported); len(listed) == 0 || !slices.Equal(exported, listed) {
		t.Errorf("the code names\n%q\nand the page lists\n%q", exported, listed)
	}
}

// Alerts are on metrics that there are.
func TestAlertsKnowTheirMetrics(t *testing.T) {
	needHelm(t)
	source := sourceText(t)
	groups, _, _ := unstructured.NestedSlice(find(t, render(t, "full"), "PrometheusRule", "police-data").Object, "spec", "groups")
	rules := groups[0].(map[string]any)["rules"].([]any)
	if len(rules) == 0 {
		t.Fatal("no alerts")
	}
	for _, r := range rules {
		rule := r.(map[string]any)
		names := regexp.MustCompile(`entente_[a-z_]+`).FindAllString(rule["expr"].(string), -1)
		if len(names) == 0 {
			t.Errorf("%s has no metric: %s", rule["alert"], rule["expr"])
		}
		for _, n := range names {
			if !strings.Contains(source, `"`+n+`"`) {
				t.Errorf("%s: nothing exports %s", rule["alert"], n)
			}
		}
		want := "https://docs.example.gov/operations/" + rule["alert"].(string) + ".html"
		if got, _, _ := unstructured.NestedString(rule, "annotations", "runbook_url"); got != want {
			t.Errorf("runbook %s, want %s", got, want)
		}
	}
}

// What the values say of witnesses is a policy and a list of keys that the gateway reads.
func TestWitnessingValues(t *testing.T) {
	needHelm(t)
	all := render(t, "full")
	data, _, _ := unstructured.NestedStringMap(find(t, all, "ConfigMap", "police-data-gateway-witnessing").Object, "data")
	policy, err := transparency.ParsePolicy([]byte(data["policy"]))
	if err != nil || policy.N != 1 || len(policy.Endpoints()) != 1 {
		t.Errorf("%v: %d of %v\n%s", err, policy.N, policy.Endpoints(), data["policy"])
	}
	if logs, err := witness.ParseLogs([]byte(data["logs"])); err != nil || len(logs) != 1 {
		t.Errorf("%v: %d logs\n%s", err, len(logs), data["logs"])
	}
	pod := podSpecs(t, all)["StatefulSet police-data-gateway"]
	args := strings.Join(pod.Spec.Containers[0].Args, " ")
	for _, want := range []string{
		"--log-witness-policy=/etc/entente/witnessing/policy", "--log-witness-required=1h", "--log-witness-interval=30s", "--log-witness-ca-file=/etc/entente/witness-ca/ca.crt",
		"--witness-name=police.example.gov/witness/$(POD_NAME)", "--witness-logs=/etc/entente/witnessing/logs",
	} {
		if !strings.Contains(args, want) {
			t.Errorf("no %s in %s", want, args)
		}
	}
	if pod.Annotations["entente.dev/witness-policy"] == "" {
		t.Error("another policy restarts nothing, and is read at the start only")
	}
	selector, _, _ := unstructured.NestedStringMap(find(t, all, "Service", "police-data-witness").Object, "spec", "selector")
	if selector["statefulset.kubernetes.io/pod-name"] != "police-data-gateway-0" {
		t.Errorf("the witness is any of %v: each has a key of its own", selector)
	}
	changed := podSpecs(t, render(t, "full", "--set", "gateway.witness.logs=null"))["StatefulSet police-data-gateway"]
	if !reflect.DeepEqual(changed, pod) {
		t.Error("another list of logs restarts the gateways, which read it again by themselves")
	}
	for _, w := range []string{"witness", "tracing", "OTEL"} {
		if text := fmt.Sprint(podSpecs(t, render(t, "minimal"))); strings.Contains(text, w) {
			t.Errorf("%s is on by default", w)
		}
	}
}

// Processes are told where spans go, by OpenTelemetry's own variables.
func TestTracingValues(t *testing.T) {
	needHelm(t)
	for id, pod := range podSpecs(t, render(t, "full")) {
		if strings.HasPrefix(id, "Pod ") {
			continue
		}
		env := map[string]string{}
		for _, e := range pod.Spec.Containers[0].Env {
			env[e.Name] = e.Value
		}
		for name, want := range map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example.gov:4317", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25",
			"OTEL_EXPORTER_OTLP_CERTIFICATE": "/etc/entente/tracing-ca/ca.crt",
		} {
			if env[name] != want {
				t.Errorf("%s: %s is %q", id, name, env[name])
			}
		}
	}
}

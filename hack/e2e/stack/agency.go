package stack

import (
	"path/filepath"

	"github.com/entente-dev/entente/hack/testenv"
)

// The three agencies of config/samples, and their agreement.
const (
	Police = "state-police"
	Labor  = "labor-inspectorate"
	Border = "border-service"

	Agreement   = "harbor-task-force.v1"
	AgreementID = "harbor-task-force"
)

// Agency is one of the three, with everything that is its own.
type Agency struct {
	Name, DisplayName, PostalAddress, TrustDomain string
	// Short names its database, its database's administrator and its mounts in Vault.
	Short string
	// Dataset it offers, and the relation behind it.
	Dataset, Relation string
	// Officer decides, Platform describes; users of the API server.
	Officer, Platform string

	// Dir has its files: resources, kubeconfigs, tokens, logs, state, people.
	Dir string
	// Addresses that its processes listen on, through every restart.
	Addresses Addresses
	// Line is the way that peers take to its exchange, which can be cut.
	Line *testenv.Proxy
	// Service is what peers reach its gateways by, as by a Service of Kubernetes.
	Service  *testenv.Service
	Operator *testenv.Program
	Gateway  *testenv.Program
	// Analyst may ask its gateway; NewAnalyst makes others.
	Analyst *Analyst

	stack *Stack
	users *testenv.Users
}

// Addresses are host:port pairs on loopback.
type Addresses struct {
	REST, GRPC, Peer, Health                  string // the gateway's
	Exchange, OperatorMetrics, OperatorHealth string
}

func cast(s *Stack) []*Agency {
	agencies := []*Agency{
		{Name: Police, DisplayName: "State Police", PostalAddress: "1 Capitol Road", TrustDomain: "police.state.example", Short: "police", Dataset: "case-subjects", Relation: "case_subjects"},
		{Name: Labor, DisplayName: "Labor Inspectorate", PostalAddress: "22 Harbor Street", TrustDomain: "labor.state.example", Short: "labor", Dataset: "wage-records", Relation: "wage_records"},
		{Name: Border, DisplayName: "Border Service", PostalAddress: "Northgate Bridge", TrustDomain: "border.nation.example", Short: "border", Dataset: "travellers", Relation: "travellers"},
	}
	for _, a := range agencies {
		a.stack = s
		a.Dir = filepath.Join(s.Dir, a.Name)
		a.Officer, a.Platform = "privacy-officer@"+a.TrustDomain, "platform@"+a.TrustDomain
	}
	return agencies
}

// File is a file of the agency.
func (a *Agency) File(name string) string { return filepath.Join(a.Dir, name) }

// LogDir is the folder of the gateway's disclosure log.
func (a *Agency) LogDir() string { return a.File("gateway-state/log") }

// LogKeys are the flags by which the audit commands open the payloads of the agency's log, as its gateway does.
func (a *Agency) LogKeys() []string {
	v := a.stack.Vault
	return []string{
		"--agency", a.Name, "--vault-address", v.Address(), "--vault-ca-file", v.CAFile(),
		"--vault-mount-prefix", a.Short, "--vault-jwt-file", a.File("gateway.vault-token"),
	}
}

// admin is the administrator of the agency's database: what Vault logs in as.
func (a *Agency) admin() string { return a.Short + "_admin" }

// SourceRole is where Vault has the role that issues credentials for the agency's dataset under an agreement.
func (a *Agency) SourceRole(agreementID string) string { return agreementID + "." + a.Dataset }

package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/server"
	"github.com/entente-dev/entente/hack/testenv"
	"github.com/entente-dev/entente/internal/login"
	"github.com/entente-dev/entente/internal/oidctest"
)

// caller is how somebody says who they are.
type caller struct {
	name          string
	certificate   *tls.Certificate
	authorization []string
	// user in the log; empty: nobody, who is refused.
	user string
}

// same holds that a caller is the same user over REST and over gRPC, or nobody over either.
func (a *agency) same(t *testing.T, who caller) {
	t.Helper()
	want, code, before := http.StatusOK, codes.OK, len(a.records())
	if who.user == "" {
		want, code = http.StatusUnauthorized, codes.Unauthenticated
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+a.addrs.REST+"/v1/query", strings.NewReader(q(`person_number == "P000042"`)))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	for _, v := range who.authorization {
		req.Header.Add("Authorization", v)
	}
	code1, _, body := a.send(a.clientOf(who.certificate), req)
	if code1 != want {
		t.Errorf("REST: %d %s", code1, body)
	}
	ctx := t.Context()
	for _, v := range who.authorization {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", v)
	}
	_, err = askGRPC(ctx, a.grpcClient(who.certificate), &gatewayv1.QueryRequest{
		Schema: "person", Filter: `person_number == "P000042"`, Purpose: purpose, Justification: &gatewayv1.Justification{CaseReference: "SP-2026-1"},
	})
	if status.Code(err) != code {
		t.Errorf("gRPC: %v", err)
	}
	log := a.records()[before:]
	if who.user == "" {
		if len(log) != 0 {
			t.Errorf("log %+v", log)
		}
		return
	}
	pseudonyms := map[string]bool{}
	for _, r := range log {
		pseudonyms[r.User] = true
		if r.LocalUser != who.user {
			t.Errorf("the log has user %q, want %q", r.LocalUser, who.user)
		}
	}
	if len(log) != 4 || len(pseudonyms) != 1 {
		t.Errorf("%d records of %d users", len(log), len(pseudonyms))
	}
}

// TestUsersOnBothListeners: who is somebody over REST is the same over gRPC, by certificate and by tokens of a real provider.
func TestUsersOnBothListeners(t *testing.T) {
	p := oidctest.Start(t)
	cas := x509.NewCertPool()
	cas.AddCert(p.Certificate())
	_, rec := pair(t, options{oidc: &server.OIDC{IssuerURL: p.URL, ClientID: oidctest.Client, CAs: cas}})
	person := &login.OIDC{Issuer: p.URL, ClientID: oidctest.Client, CertificateAuthority: p.CAFile}
	token, err := person.Device(t.Context(), func(_, code string) { must(t, p.Approve(code)) })
	must(t, err)
	application := &login.OIDC{Issuer: p.URL, ClientID: oidctest.Application, CertificateAuthority: p.CAFile, Application: true}
	other, err := application.AsApplication(t.Context(), oidctest.ApplicationSecret)
	must(t, err)
	good, alice := "Bearer "+token.Bearer, rec.userCertificate("alice")
	for _, who := range []caller{
		{"certificate", alice, nil, "certificate:alice"},
		{"token", nil, []string{good}, p.URL + ":" + oidctest.User},
		{"token on a certificate's connection", alice, []string{good}, p.URL + ":" + oidctest.User},
		{"nobody", nil, nil, ""},
		{"token for another client", nil, []string{"Bearer " + other.Bearer}, ""},
		{"bad token on a certificate's connection", alice, []string{"Bearer nonsense"}, ""},
		{"tampered", nil, []string{good[:len(good)-8] + "AAAAAAAA"}, ""},
		{"two tokens", nil, []string{good, good}, ""},
		{"another scheme", nil, []string{"Basic Ym9iOmJvYg=="}, ""},
	} {
		t.Run(who.name, func(t *testing.T) { rec.same(t, who) })
	}
}

// TestServiceAccountOnBothListeners: an application in a cluster is who its API server says, which is asked for its keys.
func TestServiceAccountOnBothListeners(t *testing.T) {
	kube := testenv.RequireKube(t, testenv.KubeOptions{PublicIssuer: true})
	must(t, kube.EnsureServiceAccount(t.Context(), "analytics", "batch"))
	config := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, kube.WriteAdminKubeconfig(config))
	cas := x509.NewCertPool()
	cas.AppendCertsFromPEM(kube.CAPEM())
	// Its RBAC takes up some time later that everybody may read the keys.
	stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: cas}}}
	t.Cleanup(stranger.CloseIdleConnections)
	waitFor(t, func() bool {
		code, _ := getWith(t, stranger, kube.Issuer()+"/openid/v1/jwks")
		return code == http.StatusOK
	})
	_, rec := pair(t, options{oidc: &server.OIDC{IssuerURL: kube.Issuer(), ClientID: "entente", CAs: cas}})
	of := func(audience string) []string {
		account := &login.ServiceAccount{Namespace: "analytics", Name: "batch", Audience: audience, Kubeconfig: config}
		token, err := account.Token(t.Context())
		must(t, err)
		if until := time.Until(token.Expires); until < 9*time.Minute || until > 2*time.Hour {
			t.Errorf("the token ends in %s", until)
		}
		return []string{"Bearer " + token.Bearer}
	}
	t.Run("for this gateway", func(t *testing.T) {
		rec.same(t, caller{authorization: of("entente"), user: kube.Issuer() + ":system:serviceaccount:analytics:batch"})
	})
	t.Run("for the API server", func(t *testing.T) { rec.same(t, caller{authorization: of(kube.Issuer())}) })
}

// TestReflection: a client that has nothing but what reflection says asks, and sees no service for peers.
func TestReflection(t *testing.T) {
	src, rec := pair(t, options{people: 1})
	conn := rec.grpcClient(rec.userCertificate("alice"))
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	must(t, err)
	ask := func(r *reflectionv1.ServerReflectionRequest) *reflectionv1.ServerReflectionResponse {
		must(t, stream.Send(r))
		resp, err := stream.Recv()
		must(t, err)
		return resp
	}
	var names []string
	for _, s := range ask(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}).GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	if want := []string{"entente.gateway.v1.QueryService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}; !slices.Equal(names, want) {
		t.Errorf("services %v, want %v", names, want)
	}

	files := &descriptorpb.FileDescriptorSet{}
	symbol := &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "entente.gateway.v1.QueryService"}
	for _, text := range ask(&reflectionv1.ServerReflectionRequest{MessageRequest: symbol}).GetFileDescriptorResponse().GetFileDescriptorProto() {
		f := &descriptorpb.FileDescriptorProto{}
		must(t, proto.Unmarshal(text, f))
		files.File = append(files.File, f)
	}
	known, err := protodesc.NewFiles(files)
	must(t, err)
	datasets := listed(t.Context(), t, conn, known)
	if len(datasets) != 1 || datasets[0] != "border-service" {
		t.Errorf("datasets of %v", datasets)
	}

	recipient := src.ca.issue(t, identity.AgreementID("border-service.example", "agr", "state-police"), pkix.Name{}, time.Now().Add(time.Hour))
	peers, err := grpc.NewClient(src.addrs.Peer, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*recipient}})))
	must(t, err)
	t.Cleanup(func() { peers.Close() })
	stream, err = reflectionv1.NewServerReflectionClient(peers).ServerReflectionInfo(t.Context())
	must(t, err)
	if _, err := stream.Recv(); status.Code(err) != codes.Unimplemented {
		t.Errorf("reflection for peers: %v", err)
	}
}

// listed are the agencies of what may be asked, by the descriptors alone.
func listed(ctx context.Context, t *testing.T, conn *grpc.ClientConn, known *protoregistry.Files) (agencies []string) {
	t.Helper()
	message := func(name protoreflect.FullName) *dynamicpb.Message {
		d, err := known.FindDescriptorByName("entente.gateway.v1." + name)
		must(t, err)
		return dynamicpb.NewMessage(d.(protoreflect.MessageDescriptor))
	}
	answer := message("ListDatasetsResponse")
	must(t, conn.Invoke(ctx, "/entente.gateway.v1.QueryService/ListDatasets", message("ListDatasetsRequest"), answer))
	list := answer.Get(answer.Descriptor().Fields().ByName("datasets")).List()
	for i := range list.Len() {
		m := list.Get(i).Message()
		agencies = append(agencies, m.Get(m.Descriptor().Fields().ByName("agency")).String())
	}
	return agencies
}

{{/* Prefix of the names of objects: at most 40 characters, so that names of pods and of their revisions stay below 63. */}}
{{- define "entente.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Labels by which a component's pods are found: (list $ "operator"). */}}
{{- define "entente.selectorLabels" -}}
app.kubernetes.io/name: entente
app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of a component's objects: (list $ "operator"). Every object has them, so whichever is rendered first checks the values. */}}
{{- define "entente.labels" -}}
{{- $root := index . 0 }}
{{- $_ := include "entente.check" $root -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{ include "entente.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: entente
entente.dev/agency: {{ $root.Values.agency.name | quote }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of a component's pods: (list $ "operator"). Nothing that changes with the chart alone, which would restart them. */}}
{{- define "entente.podLabels" -}}
{{- $root := index . 0 }}{{ $component := index . 1 -}}
{{ include "entente.selectorLabels" . }}
app.kubernetes.io/part-of: entente
entente.dev/agency: {{ $root.Values.agency.name | quote }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- with (index $root.Values $component).podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Service accounts, by component. */}}
{{- define "entente.serviceAccountName" -}}
{{- $root := index . 0 }}{{ $component := index . 1 }}
{{- $account := (index $root.Values $component).serviceAccount }}
{{- if $account.name }}{{ $account.name }}
{{- else if $account.create }}{{ include "entente.fullname" $root }}-{{ $component }}
{{- else }}{{ fail (printf "%s.serviceAccount.name is required when %s.serviceAccount.create is false: the account that the %s runs as" $component $component $component) }}
{{- end }}
{{- end }}

{{- define "entente.registry" -}}
{{- $global := default dict .Values.global }}
{{- default (default "" $global.imageRegistry) .Values.image.registry | trimSuffix "/" }}
{{- end }}

{{- define "entente.image" -}}
{{- $name := printf "%s/%s" (include "entente.registry" .) .Values.image.repository }}
{{- if .Values.image.digest }}{{ $name }}@{{ .Values.image.digest }}
{{- else }}{{ $name }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{/* What has no default, and what contradicts itself. Said in one place, once, in words. */}}
{{- define "entente.check" -}}
{{- $missing := list }}
{{- if not .Values.agency.name }}
{{- $missing = append $missing "agency.name: the name of the agency, as in its Agency resource" }}
{{- end }}
{{- if not .Values.agency.trustDomain }}
{{- $missing = append $missing "agency.trustDomain: the agency's SPIFFE trust domain, for example police.example.gov" }}
{{- end }}
{{- if not .Values.vault.address }}
{{- $missing = append $missing "vault.address: where Vault is, for example https://vault.example.gov:8200" }}
{{- end }}
{{- if not (include "entente.registry" .) }}
{{- $missing = append $missing "image.registry: the registry, and path below it, that the cluster pulls from, for example registry.example.gov/entente" }}
{{- end }}
{{- if $missing }}
{{- fail (printf "these values are required:\n  %s\n" (join "\n  " $missing)) }}
{{- end }}
{{- range $name, $ref := dict "vault.ca" .Values.vault.ca "gateway.clientCA" .Values.gateway.clientCA "gateway.oidc.ca" .Values.gateway.oidc.ca "gateway.witnesses.ca" .Values.gateway.witnesses.ca "tracing.ca" .Values.tracing.ca }}
{{- if and $ref.configMap $ref.secret }}
{{- fail (printf "%s: give configMap or secret, not both" $name) }}
{{- end }}
{{- end }}
{{- if and (eq .Values.gateway.quotas.store "embedded") (or .Values.gateway.autoscaling.enabled (gt (int .Values.gateway.replicas) 1)) }}
{{- fail "gateway.quotas.store embedded counts for one replica: set gateway.replicas to 1 without autoscaling, or give a PostgreSQL that all replicas share" }}
{{- end }}
{{- if and .Values.gateway.oidc.issuerURL (not .Values.gateway.oidc.clientID) }}
{{- fail "gateway.oidc.clientID is required with gateway.oidc.issuerURL: the audience that users' tokens must have" }}
{{- end }}
{{- if and .Values.gateway.oidc.clientID (not .Values.gateway.oidc.issuerURL) }}
{{- fail "gateway.oidc.issuerURL is required with gateway.oidc.clientID: without it no token is taken" }}
{{- end }}
{{- with .Values.gateway.witnesses }}
{{- if and .list .policy }}
{{- fail "gateway.witnesses: give list with quorum, or policy, not both" }}
{{- end }}
{{- if and .list (lt (int .quorum) 1) }}
{{- fail "gateway.witnesses.quorum is required with gateway.witnesses.list: how many of them are enough" }}
{{- end }}
{{- if gt (int .quorum) (len .list) }}
{{- fail (printf "gateway.witnesses.quorum is %d, and gateway.witnesses.list has %d" (int .quorum) (len .list)) }}
{{- end }}
{{- if and (or .required .interval .ca.configMap .ca.secret) (not (or .list .policy)) }}
{{- fail "gateway.witnesses.required, .interval and .ca need gateway.witnesses.list or .policy: who the witnesses are" }}
{{- end }}
{{- end }}
{{- if and .Values.gateway.witness.logs (not .Values.gateway.witness.enabled) }}
{{- fail "gateway.witness.logs needs gateway.witness.enabled: nothing would be witnessed" }}
{{- end }}
{{- if and .Values.gateway.autoscaling.enabled (gt (int .Values.gateway.autoscaling.minReplicas) (int .Values.gateway.autoscaling.maxReplicas)) }}
{{- fail "gateway.autoscaling.minReplicas is greater than gateway.autoscaling.maxReplicas" }}
{{- end }}
{{- if ge (int .Values.gateway.preStopSeconds) (int .Values.gateway.terminationGracePeriodSeconds) }}
{{- fail "gateway.terminationGracePeriodSeconds must be greater than gateway.preStopSeconds: the gateway would be killed before it is told to stop" }}
{{- end }}
{{- end }}

{{- define "entente.imagePullSecrets" -}}
{{- $global := default dict .Values.global }}
{{- with default $global.imagePullSecrets .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What a container may do: nothing beyond its own process. */}}
{{- define "entente.containerSecurityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Arguments that operator and gateway have in common. */}}
{{- define "entente.commonArgs" -}}
- --agency={{ .Values.agency.name }}
- --trust-domain={{ .Values.agency.trustDomain }}
- --vault-address={{ .Values.vault.address }}
- --vault-mount-prefix={{ .Values.vault.mountPrefix }}
- --vault-jwt-file=/var/run/secrets/entente/vault-token
{{- with .Values.vault.namespace }}
- --vault-namespace={{ . }}
{{- end }}
{{- if or .Values.vault.ca.configMap .Values.vault.ca.secret }}
- --vault-ca-file=/etc/entente/vault-ca/{{ .Values.vault.ca.key }}
{{- end }}
{{- with .Values.maxStale }}
- --max-stale={{ . }}
{{- end }}
- --log-format={{ .Values.log.format }}
- --log-level={{ .Values.log.level }}
{{- end }}

{{- define "entente.commonEnv" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- with .Values.tracing }}
{{- if .endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
- name: OTEL_TRACES_SAMPLER
  value: traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .ratio | quote }}
{{- if or .ca.configMap .ca.secret }}
- name: OTEL_EXPORTER_OTLP_CERTIFICATE
  value: /etc/entente/tracing-ca/{{ .ca.key }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "entente.commonVolumeMounts" -}}
- name: vault-token
  mountPath: /var/run/secrets/entente
  readOnly: true
{{- if or .Values.vault.ca.configMap .Values.vault.ca.secret }}
- name: vault-ca
  mountPath: /etc/entente/vault-ca
  readOnly: true
{{- end }}
{{- if or .Values.tracing.ca.configMap .Values.tracing.ca.secret }}
- name: tracing-ca
  mountPath: /etc/entente/tracing-ca
  readOnly: true
{{- end }}
{{- end }}

{{- define "entente.commonVolumes" -}}
- name: vault-token
  projected:
    sources:
      - serviceAccountToken:
          audience: {{ .Values.vault.audience }}
          expirationSeconds: {{ int .Values.vault.tokenExpirationSeconds }}
          path: vault-token
{{- include "entente.authorityVolume" (list "vault-ca" .Values.vault.ca) }}
{{- include "entente.authorityVolume" (list "tracing-ca" .Values.tracing.ca) }}
{{- end }}

{{/* A volume of PEM certificates: (list "name" {configMap, secret, key}); nothing when neither is given. */}}
{{- define "entente.authorityVolume" -}}
{{- $name := index . 0 }}{{ $ref := index . 1 }}
{{- if $ref.configMap }}
- name: {{ $name }}
  configMap:
    name: {{ $ref.configMap }}
    items: [{key: {{ $ref.key }}, path: {{ $ref.key }}}]
{{- else if $ref.secret }}
- name: {{ $name }}
  secret:
    secretName: {{ $ref.secret }}
    items: [{key: {{ $ref.key }}, path: {{ $ref.key }}}]
{{- end }}
{{- end }}

{{/* Where pods run: (list $ "gateway"). */}}
{{- define "entente.scheduling" -}}
{{- $root := index . 0 }}{{ $component := index . 1 }}
{{- $values := index $root.Values $component }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  {{- $constraint := deepCopy . }}
  {{- if not $constraint.labelSelector }}
  {{- $_ := set $constraint "labelSelector" (dict "matchLabels" (include "entente.selectorLabels" (list $root $component) | fromYaml)) }}
  {{- end }}
  - {{- toYaml $constraint | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The part of a Service's spec that depends on how it is exposed. */}}
{{- define "entente.serviceExposure" -}}
type: {{ .type }}
{{- if eq .type "LoadBalancer" }}
{{- with .loadBalancerClass }}
loadBalancerClass: {{ . }}
{{- end }}
{{- with .loadBalancerSourceRanges }}
loadBalancerSourceRanges:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- if ne .type "ClusterIP" }}
{{- with .externalTrafficPolicy }}
externalTrafficPolicy: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Names by which local users reach the gateways, one a line. Vault's role must allow each. */}}
{{- define "entente.gatewayNames" -}}
{{- $service := printf "%s-gateway" (include "entente.fullname" .) -}}
{{ $service }}.{{ .Release.Namespace }}.svc
{{ $service }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- range .Values.gateway.names }}
{{ . }}
{{- end }}
{{- end }}

{{/* Who witnesses the logs, as C2SP tlog-policy; nothing when nobody does. */}}
{{- define "entente.witnessPolicy" -}}
{{- with .Values.gateway.witnesses }}
{{- if .policy }}{{ .policy | trim }}
{{- else if .list }}
{{- $names := list }}
{{- range .list }}
{{- $names = append $names .name -}}
witness {{ .name }} {{ .key }} {{ .url }}
{{ end -}}
group enough {{ int .quorum }} {{ join " " $names }}
quorum enough
{{- end }}
{{- end }}
{{- end }}

{{/* How many gateways there can be: each may write the Lease of its own name, and no other is needed. */}}
{{- define "entente.gatewayCount" -}}
{{- if .Values.gateway.autoscaling.enabled }}{{ int .Values.gateway.autoscaling.maxReplicas }}{{ else }}{{ int .Values.gateway.replicas }}{{ end }}
{{- end }}

{{- define "entente.tlsRouteAPIVersion" -}}
{{- if .Capabilities.APIVersions.Has "gateway.networking.k8s.io/v1/TLSRoute" }}gateway.networking.k8s.io/v1
{{- else if .Capabilities.APIVersions.Has "gateway.networking.k8s.io/v1alpha3/TLSRoute" }}gateway.networking.k8s.io/v1alpha3
{{- else if .Capabilities.APIVersions.Has "gateway.networking.k8s.io/v1alpha2/TLSRoute" }}gateway.networking.k8s.io/v1alpha2
{{- else }}gateway.networking.k8s.io/v1
{{- end }}
{{- end }}

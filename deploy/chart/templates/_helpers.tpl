{{/* What all names begin with: the release's name, in which the chart's is to be found. */}}
{{- define "convoke.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) }}{{ $name = printf "%s-%s" $name .Chart.Name }}{{ end -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The labels that things are found by. */}}
{{- define "convoke.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "convoke.image" -}}
{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* Settings, as JSON: those of the values, and where they say nothing, what the other values come to. */}}
{{- define "convoke.allSettings" -}}
{{- $server := dict "drain" (ternary "0s" "15s" .Values.sqlite.enabled) -}}
{{- $database := dict "migrate" (ternary "off" "auto" (and .Values.migrateByJob (not .Values.sqlite.enabled))) -}}
{{- $all := dict "server" $server "database" $database -}}
{{- if .Values.sqlite.enabled -}}
{{- $_ := set $database "url" "sqlite:///data/convoke.db" -}}
{{- $_ := set $all "auth" (dict "first_token" false) -}}
{{- end -}}
{{- if or .Values.ingress.enabled .Values.httpRoute.enabled -}}
{{- $_ := set $server "trusted_proxies" 1 -}}
{{- end -}}
{{- if .Values.telegram.enabled -}}
{{- $_ := set $all "telegram" (dict "api_id" (int .Values.telegram.apiId)) -}}
{{- $_ := set $all "providers" (dict "default" "telegram") -}}
{{- end -}}
{{- /* Not by `merge`, to which 0, false and nothing are the same. */ -}}
{{- range $section, $values := .Values.settings -}}
{{- if not (hasKey $all $section) }}{{ $_ := set $all $section dict }}{{ end -}}
{{- range $name, $value := $values }}{{ $_ := set (index $all $section) $name $value }}{{ end -}}
{{- end -}}
{{- $all | toJson -}}
{{- end -}}

{{/* Settings as environment variables: server.bind is CONVOKE__SERVER__BIND. Lists are written with commas, those of tables
as JSON. */}}
{{- define "convoke.settings" -}}
{{- range $section, $values := include "convoke.allSettings" . | fromJson }}
{{- range $name, $value := $values }}
{{- $text := toJson $value }}
{{- if kindIs "string" $value }}{{ $text = $value }}{{ end }}
{{- if and (kindIs "slice" $value) (not (kindIs "map" (first $value))) }}{{ $text = join "," $value }}{{ end }}
CONVOKE__{{ upper $section }}__{{ upper $name }}: {{ $text | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* How many seconds a pod has to stop: server.drain, then 10 s at most, and something to spare. The duration is counted by
what adds one to a date. */}}
{{- define "convoke.gracePeriod" -}}
{{- $drain := (include "convoke.allSettings" . | fromJson).server.drain | nospace -}}
{{- $begin := mustToDate "2006-01-02T15:04:05Z07:00" "1970-01-01T00:00:00Z" -}}
{{- max 30 (add 15 (mustDateModify $drain $begin | unixEpoch)) -}}
{{- end -}}

{{/* What all pods have: who they run as, and that they ask nothing of Kubernetes. */}}
{{- define "convoke.pod" -}}
serviceAccountName: {{ include "convoke.name" . }}
automountServiceAccountToken: false
# Variables named after services have no place among the settings.
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{/* What all containers have, but for their environment. */}}
{{- define "convoke.container" -}}
name: convoke
image: {{ include "convoke.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
envFrom:
  - configMapRef:
      name: {{ include "convoke.name" . }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* For what serves: it lives from the first second on, and may wait long for its schema until it is ready. For a database
that can't be reached it waits as long with database.migrate=off alone; with auto it ends after half a minute, and is started
again. */}}
{{- define "convoke.probes" -}}
startupProbe:
  httpGet:
    path: /livez
    port: admin
  periodSeconds: 1
  timeoutSeconds: 3
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /livez
    port: admin
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: /readyz
    port: admin
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}

{{- define "convoke.secretFile" -}}
- name: {{ .volume }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    {{- with .key }}
    items:
      - key: {{ . }}
        path: {{ . }}
    {{- end }}
{{- end -}}

{{/* The files that a pod reads: a list of volume, secret, key (all, if none is said), folder and the variable that names it. */}}
{{- define "convoke.files" -}}
{{- $files := list -}}
{{- if not .root.Values.sqlite.enabled -}}
{{- $files = append $files (dict "volume" "database" "secret" .root.Values.database.existingSecret "file" "url" "variable" "DATABASE__URL") -}}
{{- end -}}
{{- if and .root.Values.telegram.enabled (ne .component "migrate") -}}
{{- $files = append $files (dict "volume" "telegram" "secret" .root.Values.telegram.existingSecret "key" "api-hash" "file" "api-hash" "variable" "TELEGRAM__API_HASH") -}}
{{- if or (eq .component "worker") .root.Values.sqlite.enabled -}}
{{- $files = append $files (dict "volume" "secrets" "secret" .root.Values.telegram.sealingKeySecret "key" "key" "file" "key" "variable" "SECRETS__KEY") -}}
{{- if .root.Values.telegram.session -}}
{{- $files = append $files (dict "volume" "telegram-session" "secret" .root.Values.telegram.existingSecret "key" "session" "file" "session" "variable" "TELEGRAM__SESSION") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $files | toJson -}}
{{- end -}}

{{- define "convoke.environment" -}}
{{- range include "convoke.files" . | fromJsonArray }}
- name: CONVOKE__{{ .variable }}_FILE
  value: /etc/convoke/{{ .volume }}/{{ .file }}
{{- end }}
{{- end -}}

{{- define "convoke.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- range include "convoke.files" . | fromJsonArray }}
- name: {{ .volume }}
  mountPath: /etc/convoke/{{ .volume }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "convoke.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- range include "convoke.files" . | fromJsonArray }}
{{ include "convoke.secretFile" . }}
{{- end }}
{{- end -}}

{{/* Spread over zones and nodes, where there are any. */}}
{{- define "convoke.spread" -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "convoke.labels" $.root | nindent 6 }}
      app.kubernetes.io/component: {{ $.component }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

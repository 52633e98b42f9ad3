{{- define "aibridge.selector" -}}
app.kubernetes.io/name: aibridge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "aibridge.metadata" -}}
name: {{ .Release.Name }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "aibridge.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .Release.Service }}
  helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

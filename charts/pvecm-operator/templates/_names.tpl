{{- define "pvecm.labels" -}}
app.kubernetes.io/name: pvecm-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "pvecm.selector" -}}
app.kubernetes.io/name: pvecm-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/*
What the operator may do with the objects that it serves. It may not write a spec of a PveHost; of a
PveCluster it writes the finalizer of `deletionPolicy: Dissolve`, and an admission policy holds it to
that. It has no verb `approve`: approval belongs to people.
*/}}
{{- define "pvecm.rules" -}}
- apiGroups: [pvecm.io]
  resources: [pveclusters, pvehosts]
  verbs: [get, list, watch]
- apiGroups: [pvecm.io]
  resources: [pveclusters]
  verbs: [patch]
- apiGroups: [pvecm.io]
  resources: [pveclusters/status, pvehosts/status]
  verbs: [get, patch]
- apiGroups: [pvecm.io]
  resources: [pvechanges]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [pvecm.io]
  resources: [pvechanges/status]
  verbs: [get, patch]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

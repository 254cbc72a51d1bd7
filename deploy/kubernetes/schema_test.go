package kubernetes

import (
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const kustomization = "kustomization.yaml"

// decode reads a manifest strictly, as `kubectl --validate=strict` would: a
// member that its type does not have, or that comes twice, is an error.
func decode(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(b, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// kinds has an empty object for every kind of the manifests.
func kinds() map[string]any {
	return map[string]any{
		"v1/ConfigMap":                           &corev1.ConfigMap{},
		"v1/Service":                             &corev1.Service{},
		"apps/v1/Deployment":                     &appsv1.Deployment{},
		"policy/v1/PodDisruptionBudget":          &policyv1.PodDisruptionBudget{},
		"autoscaling/v2/HorizontalPodAutoscaler": &autoscalingv2.HorizontalPodAutoscaler{},
		"networking.k8s.io/v1/NetworkPolicy":     &networkingv1.NetworkPolicy{},
	}
}

func TestManifestsFollowTheirSchema(t *testing.T) {
	paths, err := filepath.Glob("*.yaml")
	if err != nil || len(paths) < 7 {
		t.Fatalf("%d manifests, %v", len(paths), err)
	}
	var list struct {
		Resources []string `json:"resources"`
	}
	b, err := os.ReadFile(kustomization)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{kustomization: true}
	for _, r := range list.Resources {
		listed[r] = true
	}
	for _, path := range paths {
		if !listed[path] {
			t.Errorf("%s is not in %s", path, kustomization)
		}
		delete(listed, path)
		if path == kustomization {
			continue
		}
		var meta metav1.TypeMeta
		if b, err = os.ReadFile(path); err == nil {
			err = yaml.Unmarshal(b, &meta)
		}
		object, ok := kinds()[meta.APIVersion+"/"+meta.Kind]
		if err != nil || !ok {
			t.Errorf("%s: unknown kind %s/%s (%v)", path, meta.APIVersion, meta.Kind, err)
			continue
		}
		decode(t, path, object)
	}
	for missing := range listed {
		t.Errorf("%s names %s, which is not there", kustomization, missing)
	}
}

// TestSchemaCheckIsStrict shows that the check can fail.
func TestSchemaCheckIsStrict(t *testing.T) {
	for _, bad := range []string{
		"spec: {replica: 3}",
		"spec: {replicas: three}",
		"spec: {template: {spec: {containers: [{name: a, lifecycle: {preStop: {sleeps: {seconds: 1}}}}]}}}",
		"spec: {replicas: 1, replicas: 2}",
	} {
		if err := yaml.UnmarshalStrict([]byte(bad), &appsv1.Deployment{}); err == nil {
			t.Errorf("%s passes", bad)
		}
	}
}

// TestSelectorsFindThePods follows every reference from one manifest to
// another.
func TestSelectorsFindThePods(t *testing.T) {
	var d appsv1.Deployment
	var s corev1.Service
	var c corev1.ConfigMap
	var p policyv1.PodDisruptionBudget
	var h autoscalingv2.HorizontalPodAutoscaler
	var n networkingv1.NetworkPolicy
	decode(t, "deployment.yaml", &d)
	decode(t, "service.yaml", &s)
	decode(t, "configmap.yaml", &c)
	decode(t, "poddisruptionbudget.yaml", &p)
	decode(t, "horizontalpodautoscaler.yaml", &h)
	decode(t, "networkpolicy.yaml", &n)

	pod := d.Spec.Template
	selects := func(name string, selector map[string]string) {
		t.Helper()
		if len(selector) == 0 {
			t.Errorf("%s selects every pod", name)
		}
		for k, v := range selector {
			if pod.Labels[k] != v {
				t.Errorf("%s selects %s=%s, which the pods do not have", name, k, v)
			}
		}
	}
	selects("deployment", d.Spec.Selector.MatchLabels)
	selects("service", s.Spec.Selector)
	selects("budget", p.Spec.Selector.MatchLabels)
	selects("policy", n.Spec.PodSelector.MatchLabels)
	if ref := h.Spec.ScaleTargetRef; ref.Kind != d.Kind || ref.APIVersion != d.APIVersion || ref.Name != d.Name {
		t.Errorf("the autoscaler scales %+v", ref)
	}
	if d.Spec.Replicas != nil {
		t.Error("replicas in the deployment undo the autoscaler at every apply")
	}
	ports := map[string]int32{}
	for _, port := range pod.Spec.Containers[0].Ports {
		ports[port.Name] = port.ContainerPort
	}
	used := []string{s.Spec.Ports[0].TargetPort.StrVal}
	for _, rule := range n.Spec.Ingress {
		for _, port := range rule.Ports {
			used = append(used, port.Port.StrVal)
		}
	}
	proxy := pod.Spec.Containers[0]
	used = append(used, proxy.ReadinessProbe.HTTPGet.Port.StrVal, proxy.LivenessProbe.HTTPGet.Port.StrVal)
	for _, name := range used {
		if ports[name] == 0 {
			t.Errorf("there is no port %q", name)
		}
	}
	if v := pod.Spec.Volumes[0]; v.ConfigMap.Name != c.Name || v.Name != proxy.VolumeMounts[0].Name {
		t.Errorf("volume %+v is not the settings, or is not mounted", v)
	}
}

// TestPodIsRestricted is the restricted profile of the Pod Security Standards,
// https://kubernetes.io/docs/concepts/security/pod-security-standards/, and a
// root that cannot be written.
func TestPodIsRestricted(t *testing.T) {
	var d appsv1.Deployment
	decode(t, "deployment.yaml", &d)
	pod := d.Spec.Template.Spec
	if s := pod.SecurityContext; !*s.RunAsNonRoot || *s.RunAsUser == 0 || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("pod: %+v", s)
	}
	if pod.HostNetwork || pod.HostPID || pod.HostIPC || *pod.AutomountServiceAccountToken {
		t.Error("the pod sees more of its host or cluster than it needs")
	}
	for _, c := range pod.Containers {
		s := c.SecurityContext
		if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" || len(s.Capabilities.Add) > 0 {
			t.Errorf("%s: %+v", c.Name, s)
		}
	}
}

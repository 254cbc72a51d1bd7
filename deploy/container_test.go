package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"gemini-resilient-proxy/proxy"
)

// pod is what of the deployment must agree with the settings. That all of it is
// what Kubernetes knows is checked by the module of the manifests.
type pod struct {
	Grace      int `yaml:"terminationGracePeriodSeconds"`
	Containers []struct {
		Args  []string
		Ports []struct {
			ContainerPort int `yaml:"containerPort"`
		}
		Lifecycle struct {
			PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
		}
		VolumeMounts []struct {
			MountPath string `yaml:"mountPath"`
		} `yaml:"volumeMounts"`
		ReadinessProbe struct {
			HTTPGet struct{ Path string } `yaml:"httpGet"`
		} `yaml:"readinessProbe"`
		LivenessProbe struct {
			HTTPGet struct{ Path string } `yaml:"httpGet"`
		} `yaml:"livenessProbe"`
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// TestPodsAgreeWithTheirSettings loads the settings of the manifests as a pod
// would.
func TestPodsAgreeWithTheirSettings(t *testing.T) {
	var c struct{ Data map[string]string }
	readYAML(t, "kubernetes/configmap.yaml", &c)
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(c.Data["config.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := proxy.LoadConfig(file, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Spec struct{ Template struct{ Spec pod } }
	}
	readYAML(t, "kubernetes/deployment.yaml", &d)
	p := d.Spec.Template.Spec
	if len(p.Containers) != 1 {
		t.Fatalf("%d containers", len(p.Containers))
	}
	run := p.Containers[0]
	sleep := time.Duration(run.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	if grace := time.Duration(p.Grace) * time.Second; sleep < 5*time.Second || grace < sleep+cfg.DrainTimeout+10*time.Second {
		t.Errorf("a pod is killed after %v: preStop takes %v, the drain up to %v", grace, sleep, cfg.DrainTimeout)
	}
	if len(run.Args) != 2 || run.Args[0] != "-config" || run.Args[1] != run.VolumeMounts[0].MountPath+"/config.yaml" {
		t.Errorf("arguments %v do not name the mounted settings", run.Args)
	}
	for i, addr := range []string{cfg.ListenAddr, cfg.AdminAddr} {
		if want := ":" + strconv.Itoa(run.Ports[i].ContainerPort); addr != want {
			t.Errorf("the program listens on %s, the pod says %s", addr, want)
		}
	}
	if run.ReadinessProbe.HTTPGet.Path != "/readyz" || run.LivenessProbe.HTTPGet.Path != "/healthz" {
		t.Error("the probes ask for other paths than the program serves")
	}
}

// TestImageIsSmallAndNotRoot reads the Dockerfile.
func TestImageIsSmallAndNotRoot(t *testing.T) {
	file, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	minor := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if !strings.Contains(string(file), " golang:"+string(minor[1])+" AS build") {
		t.Errorf("the image is not built with Go %s", minor[1])
	}
	stages := strings.Split(string(file), "\nFROM ")
	last := stages[len(stages)-1]
	if !strings.Contains(last[:strings.Index(last, "\n")], "distroless/static") {
		t.Error("the last stage is not the static image without a shell")
	}
	if !regexp.MustCompile(`(?m)^USER [1-9]\d*:[1-9]\d*$`).MatchString(last) {
		t.Error("USER is not a number other than 0")
	}
	if regexp.MustCompile(`(?m)^RUN |^ADD `).MatchString(last) {
		t.Error("the last stage runs or fetches something")
	}
	if _, port, _ := strings.Cut(proxy.DefaultConfig().ListenAddr, ":"); !strings.Contains(last, "\nEXPOSE "+port+"\n") {
		t.Errorf("the port %s is not exposed", port)
	}
	for _, m := range regexp.MustCompile(`(?m)^COPY ([^-\s][^\n]*) \S+$`).FindAllStringSubmatch(string(file), -1) {
		for _, source := range strings.Fields(m[1]) {
			if _, err := os.Stat(filepath.Join("..", source)); err != nil {
				t.Errorf("COPY %s: %v", source, err)
			}
		}
	}
}
